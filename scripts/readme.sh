#!/usr/bin/env bash
# Writes the table reference in README.md anew from the contracts.
set -euo pipefail
cd "$(dirname "$0")/.."
.venv/bin/python - <<'PY'
from pathlib import Path

from freshet.contracts import ALL_TABLES
from freshet.contracts.reference import with_reference

path = Path("README.md")
path.write_text(with_reference(path.read_text(encoding="utf-8"), ALL_TABLES), encoding="utf-8")
PY
