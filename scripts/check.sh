#!/usr/bin/env bash
# All checks that a change must pass: format, lint, types, tests. Arguments go to pytest: scripts/check.sh -m unit
# Every stage runs, so that one call shows all problems; the exit code is that of the first stage that fails.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

code=0
summary=""
stage() { # name, command ...
    local name=$1 begin=$SECONDS status=0
    shift
    "$@" || status=$?
    summary="$summary$name $((SECONDS - begin)) s"
    if [ "$status" != 0 ]; then
        summary="$summary (failed)"
        if [ "$code" = 0 ]; then code=$status; fi
    fi
    summary="$summary, "
}

started=$SECONDS
scripts/setup.sh
summary="set-up $((SECONDS - started)) s, "
# Only tests need a broker and a browser: they are downloaded while the other stages use the processor.
fetch() {
    scripts/browser.sh
    scripts/kafka.sh fetch
}
fetch &
fetched=$!
trap 'kill "$fetched" 2>/dev/null || true' EXIT # it would continue after an interrupted check
stage "ruff format" .venv/bin/python -m ruff format --check --quiet .
stage "ruff check" .venv/bin/python -m ruff check --quiet .
stage "mypy" .venv/bin/python -m mypy --no-error-summary
stage "broker and browser" wait "$fetched"
trap - EXIT
echo "${summary%, }"

# In two processes; all tests of a file run in the same one.
# Last, with nothing printed after it: pytest's last line is the result.
status=0
.venv/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder "$@" || status=$?
if [ "$code" = 0 ]; then code=$status; fi
exit "$code"
