#!/usr/bin/env bash
# Writes freshet.lock from pyproject.toml: every package with its hashes, for Linux and macOS, Python 3.11+.
#
#   scripts/lock.sh                     keep locked versions, resolve only what has changed in pyproject.toml
#   scripts/lock.sh --upgrade           use the newest versions that pyproject.toml allows
#   scripts/lock.sh -P <package>        the same for one package
#
# Needs the network. Afterwards: scripts/setup.sh, then scripts/check.sh.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check uv

# Relative paths and our own header: the result does not mention a machine or an index.
"$work/venv/bin/uv" pip compile pyproject.toml --extra dev \
    --universal --python-version 3.11 --fork-strategy fewest --generate-hashes \
    --no-emit-index-url --no-emit-find-links --no-header --annotation-style line \
    --quiet --output-file freshet.lock "$@"

{
    echo "# Every package freshet runs and is tested with, pinned by hash. Written by scripts/lock.sh; do not edit."
    echo
    sed '/^# Every package freshet runs/,/^$/d' freshet.lock
} >"$work/freshet.lock"
cat "$work/freshet.lock" >freshet.lock
echo "freshet.lock: $(grep -c '==' freshet.lock) packages"
