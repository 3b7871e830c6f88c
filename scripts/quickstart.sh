#!/usr/bin/env bash
# From nothing to recommendations: runs the set-up, then the main job on the bundled data. Results go to .freshet or to
# the folder FRESHET_HOME. Arguments go to `freshet run`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scripts/setup.sh
exec .venv/bin/freshet run --source conf/sources/online_retail_ii.toml \
    --input lib/freshet/data/online_retail_II.parquet --home "${FRESHET_HOME:-.freshet}" "$@"
