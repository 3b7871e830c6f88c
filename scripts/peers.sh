#!/usr/bin/env bash
# Makes a separate environment for the libraries that benchmarks `als-peers`, `counterfactual` and `tables` compare with;
# Freshet does not use it. Needs the network. Without it `als-peers` does not run, and the others leave out these libraries.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

"${PYTHON:-python3}" -m venv .freshet-bench/peers
pip=(.freshet-bench/peers/bin/python -m pip install --quiet --disable-pip-version-check)
"${pip[@]}" pandas==2.3.3 scikit-learn==1.9.1
"${pip[@]}" implicit==0.7.3 irspack==0.5.2
# Only its splitter is used, which needs none of its thirty dependencies.
"${pip[@]}" --no-deps recommenders==1.2.1
# Only its estimators are used, which need none of the old versions that it asks for, nor an old Python.
"${pip[@]}" --no-deps --ignore-requires-python obp==0.5.7
echo "peers: .freshet-bench/peers"
