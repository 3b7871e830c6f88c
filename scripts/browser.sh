#!/usr/bin/env bash
# Installs a browser for the tests of the report: Debian's chromium, if there is none and this user may install it.
# If it cannot be installed, prints the reason and exits with 0: those tests are then skipped.
set -euo pipefail

for name in chromium chromium-browser google-chrome; do
    if command -v "$name" >/dev/null; then exit 0; fi
done
skipped() {
    echo "freshet: the report is not tested in a browser: $1"
    exit 0
}
command -v apt-get >/dev/null || skipped "there is no chromium, and no apt-get to install it with"
[ "$(id -u)" = 0 ] || skipped "there is no chromium, and only root may install it (apt-get install chromium)"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
install() { # with a time limit: without a network apt-get retries for minutes
    export DEBIAN_FRONTEND=noninteractive
    timeout 120 apt-get update -qq && timeout 600 apt-get install -qq --yes --no-install-recommends chromium
}
install >"$log" 2>&1 </dev/null || skipped "chromium could not be installed: $(grep -m 1 '^E:' "$log" || tail -n 1 "$log")"
