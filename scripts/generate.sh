#!/usr/bin/env bash
# Writes generated files: the reference of all tables from their contracts, conf/jobs.toml from the steps.
set -euo pipefail
cd "$(dirname "$0")/.."
.venv/bin/python - <<'PY'
from pathlib import Path

from freshet.contracts import ALL_TABLES
from freshet.contracts.reference import markdown

Path("lib/freshet/contracts/TABLES.md").write_text(markdown(ALL_TABLES), encoding="utf-8")
PY
.venv/bin/freshet jobs --toml >conf/jobs.toml
