"""From validation cases to the candidates and term values that a search of weights works on.

A case is a shopper with the history before the validation cut and the true items of the window after it.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from freshet.numeric.row_kernels import picked
from freshet.numeric.top_k import top_k
from freshet.ranking.artifact import Artifact
from freshet.ranking.history_block import HistoryBlock, read_block
from freshet.ranking.scoring import shopper_terms
from freshet.ranking.terms.registry import weighed
from freshet.tuning.weights import Candidates, ideal_dcg

_BLOCK_CELLS = 8_000_000
"""Shoppers times items of a block's product of factors, 32 MB: the only term that is as wide as the catalogue."""

_BLOCK_SHOPPERS = 1024
"""Shoppers of a block at most."""


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

    Of terms that are 0 but at some items, own_ terms and item models, the best are those above 0 and may be fewer.
    Under new_items, what a shopper had is neither candidate nor truth. Shoppers without true items are left out;
    None when nobody is left. True items that the catalogue lacks stay in the ideal.
    """
    size = max(1, min(_BLOCK_SHOPPERS, _BLOCK_CELLS // max(1, len(artifact.items))))
    parts = []
    for batch in cases:
        for start in range(0, batch.num_rows, size):
            part = _block_candidates(batch.slice(start, size), artifact, policy, clock, k, per_term)
            if part is not None:
                parts.append(part)
    return _joined(parts, k) if parts else None


def _block_candidates(
    batch: pa.RecordBatch, artifact: Artifact, policy: str, clock: datetime, k: int, per_term: int
) -> Candidates | None:
    recipe = artifact.recipe
    block = read_block(batch.column("history"), items=artifact.items, event_names=recipe.event_names, clock=clock)
    true, count = _true_items(batch, artifact)
    forbidden = np.empty(0, dtype=np.int64)
    if policy == "new_items":
        forbidden = _keys(block.touched(recipe.target_code))
        is_had = np.isin(true, forbidden)
        count = count - np.bincount(true[is_had] // block.items, minlength=block.shoppers)
        true = true[~is_had]
    judged = count > 0
    if not judged.any() or not block.items:
        return None
    terms = shopper_terms(block, artifact, policy)
    of_items = {name: artifact.terms[name] for name in weighed(artifact.terms, policy)}
    best = [_best(values, forbidden, min(per_term, block.items)) for values in terms.values()]
    columns, allowed = _united([*best, *_best_of_all(of_items, block, per_term)], forbidden, block)
    taken = {name: _taken(values, columns, allowed) for name, values in terms.items()}
    taken |= {name: np.where(allowed, vector[columns], np.float32(0.0)) for name, vector in of_items.items()}
    keys = np.arange(block.shoppers)[:, None] * block.items + columns
    hits = np.isin(keys, true) & allowed
    mine = {name: values[judged] for name, values in taken.items()}
    return Candidates(mine, allowed[judged], hits[judged], ideal_dcg(count[judged], k), k)


def _keys(matrix: csr_matrix) -> NDArray[np.int64]:
    """A number for each entry: row times columns plus column."""
    rows = np.repeat(np.arange(matrix.shape[0], dtype=np.int64), np.diff(matrix.indptr))
    return rows * matrix.shape[1] + matrix.indices


def _true_items(batch: pa.RecordBatch, artifact: Artifact) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The keys of the true items that the catalogue has, each once, and each shopper's number of true items."""
    truth = batch.column("truth")
    count = pc.fill_null(pc.list_value_length(truth), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    rows = np.repeat(np.arange(batch.num_rows, dtype=np.int64), count)
    columns = pc.fill_null(pc.index_in(truth.flatten(), value_set=artifact.items), -1).to_numpy()
    known = columns >= 0
    return np.unique(rows[known] * len(artifact.items) + columns[known]), count


Values: TypeAlias = "NDArray[np.float32] | csr_matrix"
"""Of a term, [shoppers, items]: a sparse one is 0 elsewhere, and its columns rise in each row."""


def _best(values: Values, forbidden: NDArray[np.int64], per_term: int) -> NDArray[np.int64]:
    """Keys of the best items of each shopper; `forbidden` ones of dense values become minus infinity."""
    if not isinstance(values, csr_matrix):
        values.ravel()[forbidden] = -np.inf
        columns, _ = top_k(values, per_term)
        return np.asarray((np.arange(len(values))[:, None] * values.shape[1] + columns).ravel())
    keys = _keys(values)
    counts = (values.data > 0) & ~np.isin(keys, forbidden)
    keys, found = keys[counts], values.data[counts]
    rows = keys // values.shape[1]
    order = np.lexsort((keys, -found, rows))
    starts = np.searchsorted(rows, np.arange(values.shape[0]))
    place = np.arange(len(rows)) - starts[rows]
    return np.asarray(keys[order][place < per_term])


def _best_of_all(
    of_items: dict[str, NDArray[np.float32]], block: HistoryBlock, per_term: int
) -> list[NDArray[np.int64]]:
    """Keys of the best items of each term of items alone, which are the same for all shoppers."""
    rows = np.arange(block.shoppers, dtype=np.int64)[:, None] * block.items
    few = min(per_term, block.items)
    return [(rows + np.argpartition(-vector, few - 1)[:few]).ravel() for vector in of_items.values()]


def _united(
    best: list[NDArray[np.int64]], forbidden: NDArray[np.int64], block: HistoryBlock
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Rising columns [shoppers, widest union], padded with 0, and which of them count."""
    united = np.unique(np.concatenate([np.empty(0, dtype=np.int64), *best]))
    rows, found = np.divmod(united[~np.isin(united, forbidden)], block.items)
    lengths = np.bincount(rows, minlength=block.shoppers)
    allowed = np.arange(max(1, lengths.max(initial=0))) < lengths[:, None]
    columns = np.zeros(allowed.shape, dtype=np.int64)
    columns[allowed] = found
    return columns, allowed


def _taken(values: Values, columns: NDArray[np.int64], allowed: NDArray[np.bool_]) -> NDArray[np.float32]:
    """The values at these columns; 0 where they do not count."""
    sparse = isinstance(values, csr_matrix)
    found = picked(values, columns) if sparse else np.take_along_axis(values, columns, axis=1)
    return np.where(allowed, found, np.float32(0.0))


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
