"""Rows of a table that another library gets on our split, fitted here: a check of the protocol, and of the times."""

from collections.abc import Sequence
from typing import Any

from tests.benchmarks.peers import VERSIONS, has_peers, peer_fit
from tests.benchmarks.tables.judged import Split, judged_users, lists_by, metrics

LIBRARY = "irspack"


def peer_rows(
    split: Split, columns: Sequence[str], *, k: int, rank: int, iterations: int, seed: int = 1, **settings: Any
) -> dict[str, list[float]]:
    """{model: means of `columns`, seconds of the fit}: the iALS of irspack; nothing without scripts/peers.sh."""
    if not has_peers():
        return {}
    seconds, users, items = peer_fit(LIBRARY, split.known, rank=rank, iterations=iterations, seed=seed, **settings)
    found = metrics(lists_by(lambda rows: users[rows] @ items.T, judged_users(split), split, k), split)
    name = f"iALS of rank {rank} ({LIBRARY} {VERSIONS[LIBRARY]}, fitted here)"
    return {name: [*(float(found[column].mean()) for column in columns), seconds]}
