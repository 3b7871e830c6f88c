#!/usr/bin/env bash
# A browser for the tests of the report: Debian's chromium, where there is none and this user may install it.
# Where it cannot be installed it says why and ends with 0: those tests are then skipped.
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
install() { # bounded: without a network apt-get tries for minutes
    export DEBIAN_FRONTEND=noninteractive
    timeout 120 apt-get update -qq && timeout 600 apt-get install -qq --yes --no-install-recommends chromium
}
install >"$log" 2>&1 </dev/null || skipped "chromium could not be installed: $(grep -m 1 '^E:' "$log" || tail -n 1 "$log")"
