#!/usr/bin/env bash
# Everything a change has to pass: format, lint, types, tests. Arguments go to pytest: scripts/check.sh -m unit
# Every stage runs, so that one call shows all there is to mend; the exit code is that of the first to fail.
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
# Only tests need a broker and a browser: they come over the network while the other stages use the processor.
fetch() {
    scripts/browser.sh
    scripts/kafka.sh fetch
}
fetch &
fetched=$!
trap 'kill "$fetched" 2>/dev/null || true' EXIT # it would go on behind a check that was broken off
stage "ruff format" .venv/bin/python -m ruff format --check --quiet .
stage "ruff check" .venv/bin/python -m ruff check --quiet .
stage "mypy" .venv/bin/python -m mypy --no-error-summary
stage "broker and browser" wait "$fetched"
trap - EXIT
echo "${summary%, }"

# Two processes, a file of tests wholly in one of them.
# Last, and with nothing printed after it: pytest's closing line is the result.
status=0
.venv/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder "$@" || status=$?
if [ "$code" = 0 ]; then code=$status; fi
exit "$code"
