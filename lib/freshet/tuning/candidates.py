"""From validation cases to the candidates and term values for the search of weights.

A case is a shopper with the history before the validation cut and the true items of the window after it.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from freshet.contracts.policies import POLICIES
from freshet.numeric.row_kernels import picked
from freshet.ranking.artifact import Artifact
from freshet.ranking.best_items import best_items, cut
from freshet.ranking.histories.history_block import HistoryBlock, read_block
from freshet.ranking.scoring import factor_values, scored, sparse_terms
from freshet.ranking.terms.registry import FACTORS, weighed
from freshet.tuning.true_items import entry_keys, true_items
from freshet.tuning.weights import Candidates, ideal_dcg

_BLOCK_SHOPPERS = 1024
"""Most shoppers of a block."""


def candidates_of(
    cases: Iterator[pa.RecordBatch],
    artifact: Artifact,
    *,
    policy: str,
    clock: datetime,
    k: int,
    per_term: int,
) -> Candidates | None:
    """Candidates of all cases (user_id, history, truth): the `per_term` best items of every term, by shopper.

    For terms that are 0 at most items (own_ terms and item models) only items above 0 count, so there may be fewer.
    Under new_items, items that a shopper had are neither candidates nor truth. Shoppers without true items are left
    out; None if no shopper remains. True items that are not in the catalogue still count in the ideal.
    """
    alone = _factors_alone(artifact)
    size = min(_BLOCK_SHOPPERS, cut(alone, policy, per_term).shoppers)
    parts = []
    for batch in cases:
        for start in range(0, batch.num_rows, size):
            part = _block_candidates(batch.slice(start, size), artifact, alone, policy, clock, k, per_term)
            if part is not None:
                parts.append(part)
    return _joined(parts, k) if parts else None


def _block_candidates(
    batch: pa.RecordBatch, artifact: Artifact, alone: Artifact, policy: str, clock: datetime, k: int, per_term: int
) -> Candidates | None:
    recipe = artifact.recipe
    block = read_block(batch.column("history"), items=artifact.items, event_names=recipe.event_names, clock=clock)
    true, count, forbidden = true_items(batch, block, artifact, policy)
    judged = count > 0
    if not judged.any() or not block.items:
        return None
    terms = sparse_terms(block, artifact, policy)
    of_items = {name: artifact.terms[name] for name in weighed(artifact.terms, policy)}
    best = [_best(values, forbidden, per_term) for values in terms.values()]
    if recipe.als is not None:
        rows, by_factors = _best_by_factors(block, alone, policy, per_term)
        best.append(by_factors)
    columns, allowed = _united([*best, *_best_of_all(of_items, block, per_term)], forbidden, block)
    taken = {FACTORS.name: factor_values(rows, alone, columns)} if recipe.als is not None else {}
    taken |= {name: picked(values, columns) for name, values in terms.items()}
    taken = {name: np.where(allowed, values, np.float32(0.0)) for name, values in taken.items()}
    taken |= {name: np.where(allowed, vector[columns], np.float32(0.0)) for name, vector in of_items.items()}
    keys = np.arange(block.shoppers)[:, None] * block.items + columns
    hits = np.isin(keys, true) & allowed
    mine = {name: values[judged] for name, values in taken.items()}
    return Candidates(mine, allowed[judged], hits[judged], ideal_dcg(count[judged], k), k)


def _best(values: csr_matrix, forbidden: NDArray[np.int64], per_term: int) -> NDArray[np.int64]:
    """Keys of the best items above 0 of each shopper; of equal ones those with lower columns."""
    keys = entry_keys(values)
    counts = (values.data > 0) & ~np.isin(keys, forbidden)
    keys, found = keys[counts], values.data[counts]
    rows = keys // values.shape[1]
    order = np.lexsort((keys, -found, rows))
    starts = np.searchsorted(rows, np.arange(values.shape[0]))
    place = np.arange(len(rows)) - starts[rows]
    return np.asarray(keys[order][place < per_term])


def _factors_alone(artifact: Artifact) -> Artifact:
    """The artifact whose scores are the factor term."""
    weights = {policy: {FACTORS.name: 1.0} for policy in POLICIES}
    recipe = replace(artifact.recipe, item_models={}, sparse_terms={}, weights=weights)
    return replace(artifact, item_weights={}, terms={}, recipe=recipe)


def _best_by_factors(
    block: HistoryBlock, alone: Artifact, policy: str, per_term: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """[shoppers, rank] whose products with the factor columns are the term, and keys of each shopper's best items.
    They are found like lists, so without scoring the whole catalogue if it is large."""
    made = cut(alone, policy, per_term)
    result = scored(block, alone, policy=policy, buffer=made.buffer(block.shoppers), for_search=made.is_search)
    columns, values = best_items(result, made.items, per_term)
    keys = np.arange(block.shoppers, dtype=np.int64)[:, None] * block.items + columns
    return result.left[:, :-1], keys[np.isfinite(values)]


def _best_of_all(
    of_items: dict[str, NDArray[np.float32]], block: HistoryBlock, per_term: int
) -> list[NDArray[np.int64]]:
    """Keys of the best items of each item vector, which are the same for all shoppers."""
    rows = np.arange(block.shoppers, dtype=np.int64)[:, None] * block.items
    few = min(per_term, block.items)
    return [(rows + np.argpartition(-vector, few - 1)[:few]).ravel() for vector in of_items.values()]


def _united(
    best: list[NDArray[np.int64]], forbidden: NDArray[np.int64], block: HistoryBlock
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Rising columns [shoppers, widest union], padded with 0, and a mask of those that count."""
    united = np.unique(np.concatenate([np.empty(0, dtype=np.int64), *best]))
    rows, found = np.divmod(united[~np.isin(united, forbidden)], block.items)
    lengths = np.bincount(rows, minlength=block.shoppers)
    allowed = np.arange(max(1, lengths.max(initial=0))) < lengths[:, None]
    columns = np.zeros(allowed.shape, dtype=np.int64)
    columns[allowed] = found
    return columns, allowed


def _joined(parts: list[Candidates], k: int) -> Candidates:
    width = max(part.allowed.shape[1] for part in parts)

    def stacked(arrays: list[NDArray[np.generic]]) -> NDArray[np.generic]:
        return np.concatenate([np.pad(a, ((0, 0), (0, width - a.shape[1]))) for a in arrays])

    return Candidates(
        terms={name: stacked([part.terms[name] for part in parts]) for name in parts[0].terms},  # type: ignore[misc]
        allowed=stacked([part.allowed for part in parts]),  # type: ignore[arg-type]
        hits=stacked([part.hits for part in parts]),  # type: ignore[arg-type]
        ideal=np.concatenate([part.ideal for part in parts]),
        k=k,
    )
