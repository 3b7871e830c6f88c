"""Lists from item-to-item weights, and the metrics of published protocols, per user."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from freshet.numeric.top_k import top_k

_BLOCK_CELLS = 20_000_000
RESAMPLES = 1000


class Split(NamedTuple):
    """What a model sees and what it is judged by, as sparse 0/1 [users, items] of the same users and items.

    `known` is left out of lists; users without `truth` are not judged.
    """

    known: csr_matrix
    truth: csr_matrix


def weights_matrix(table: pa.Table, item_ids: list[str]) -> csr_matrix:
    """[speaking, scored] of a model's table (item_id, neighbours array<item_id, weight>)."""
    ids = pa.array(item_ids, pa.string())
    lists = table.column("neighbours").combine_chunks()
    lengths = pc.list_value_length(lists).to_numpy(zero_copy_only=False)
    scored = np.repeat(pc.index_in(table.column("item_id"), value_set=ids).to_numpy(), lengths)
    entries = lists.flatten()
    speaking = pc.index_in(entries.field("item_id"), value_set=ids).to_numpy()
    values = entries.field("weight").to_numpy(zero_copy_only=False)
    return csr_matrix((values, (speaking, scored)), shape=(len(ids), len(ids)))


def lists_of(states: csr_matrix, weights: csr_matrix, split: Split, k: int) -> NDArray[np.int64]:
    """[judged users, k] items by `states` [users, items] times `weights`, without what is known."""
    judged = judged_users(split)
    return lists_by(lambda rows: (states[rows] @ weights).toarray(), judged, split, k)


def lists_by(
    scores: Callable[[NDArray[np.int64]], NDArray[np.float32]], users: NDArray[np.int64], split: Split, k: int
) -> NDArray[np.int64]:
    """[users, k] best items; `scores` gives [rows, items] for some users."""
    height = max(1, _BLOCK_CELLS // max(1, split.known.shape[1]))
    found = []
    for start in range(0, len(users), height):
        rows = users[start : start + height]
        block = np.asarray(scores(rows), dtype=np.float32)
        known = split.known[rows].tocoo()
        block[known.row, known.col] = -np.inf
        found.append(top_k(block, k)[0])
    return np.concatenate(found)


def standardised(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each row with mean 0 and deviation 1, as the product's blend has its factor term; a flat one is 0."""
    deviations = np.maximum(scores.std(axis=1, keepdims=True), np.float32(1e-9))
    return (scores - scores.mean(axis=1, keepdims=True)) / deviations


def judged_users(split: Split) -> NDArray[np.int64]:
    return np.flatnonzero(np.diff(split.truth.indptr))


def metrics(lists: NDArray[np.int64], split: Split) -> dict[str, NDArray[np.float64]]:
    """Per judged user: ndcg (ideal over min(k, n true)), precision, recall, hit, mrr, and map over all n true items."""
    users, k = judged_users(split), lists.shape[1]
    truth = split.truth[users]
    hits = np.stack([np.asarray(truth[np.arange(len(users)), lists[:, place]]).ravel() > 0 for place in range(k)], 1)
    count = np.diff(truth.indptr)
    places = np.arange(1, k + 1)
    discount = 1.0 / np.log2(places + 1)
    first = np.where(hits.any(axis=1), hits.argmax(axis=1) + 1, np.inf)
    precisions = np.cumsum(hits, axis=1) / places
    return {
        "ndcg": (hits @ discount) / np.cumsum(discount)[np.minimum(count, k) - 1],
        "precision": hits.mean(axis=1),
        "recall": hits.sum(axis=1) / count,
        "hit": hits.any(axis=1).astype(np.float64),
        "mrr": 1.0 / first,
        "map": (precisions * hits).sum(axis=1) / count,
    }


def interval(values: NDArray[np.float64], seed: int = 0) -> tuple[float, float]:
    """Ends of the 95 % percentile bootstrap interval of the mean over users."""
    draws = np.random.default_rng(seed).integers(len(values), size=(RESAMPLES, len(values)))
    low, high = np.quantile(values[draws].mean(axis=1), [0.025, 0.975])
    return float(low), float(high)
