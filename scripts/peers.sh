#!/usr/bin/env bash
# An environment of its own for libraries that benches `als-peers` and `tables` compare with; the product never sees it.
# Needs the network. Without it `als-peers` does not run, and `tables` runs without the rows of these libraries.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

"${PYTHON:-python3}" -m venv .freshet-bench/peers
pip=(.freshet-bench/peers/bin/python -m pip install --quiet --disable-pip-version-check)
"${pip[@]}" pandas==2.3.3 scikit-learn==1.9.1
"${pip[@]}" implicit==0.7.3 irspack==0.5.2
# Only its splitter is used, which needs none of its other thirty packages.
"${pip[@]}" --no-deps recommenders==1.2.1
echo "peers: .freshet-bench/peers"
