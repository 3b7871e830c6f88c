"""The splitter of Recommenders itself, run in the environment of scripts/peers.sh, to check ours against it."""

import json
import subprocess

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.peers import PEERS, has_peers

_SPLIT = """
import json, sys
import pandas
from recommenders.datasets.python_splitters import python_stratified_split
wish = json.load(sys.stdin)
rows = pandas.DataFrame({"row": range(len(wish["items"])), "item": wish["items"]})
train, _ = python_stratified_split(
    rows, ratio=wish["share"], filter_by="item", col_user="row", col_item="item", seed=wish["seed"])
print(json.dumps(sorted(train["row"].tolist())))
"""


def peer_training_rows(items: NDArray[np.int64], *, share: float, seed: int) -> list[int] | None:
    """Places of the training rows by recommenders 1.2.1, rising; None without the environment."""
    if not has_peers():
        return None
    wish = json.dumps({"items": items.tolist(), "share": share, "seed": seed})
    done = subprocess.run([str(PEERS), "-c", _SPLIT], input=wish, capture_output=True, text=True, check=True)
    rows: list[int] = json.loads(done.stdout)
    return rows
