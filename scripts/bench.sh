#!/usr/bin/env bash
# Runs a benchmark: scripts/bench.sh NAME [--quick]; --help lists the names. Prints a table, then one JSON object as the
# last line; every measurement is also appended to .freshet-bench/results.jsonl.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scripts/setup.sh >&2
exec .venv/bin/python -m tests.benchmarks.run "$@"
