"""From validation cases to the candidates and term values that a search of weights works on.

A case is a shopper with the history before the validation cut and the true items of the window after it.
"""

from collections.abc import Iterator
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from freshet.ranking.artifact import Artifact
from freshet.ranking.history_block import HistoryBlock, read_block
from freshet.ranking.scoring import shopper_terms
from freshet.ranking.terms.registry import weighed
from freshet.tuning.weights import Candidates, ideal_dcg

_BLOCK_CELLS = 1_000_000
"""Shoppers times items of a block: some ten dense terms of it are held at a time."""


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

    Under new_items, what a shopper had is neither candidate nor truth. Shoppers without true items are left out;
    None when nobody is left. True items that the catalogue lacks stay in the ideal.
    """
    size = max(1, _BLOCK_CELLS // max(1, len(artifact.items)))
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
    seen = block.touched(recipe.target_code).toarray() > 0
    true, count = _true_items(batch, artifact, block)
    if policy == "new_items":
        count = count - np.asarray((true & seen).sum(axis=1)).ravel()
        true &= ~seen
    judged = count > 0
    if not judged.any():
        return None
    terms = {name: _dense(values)[judged] for name, values in shopper_terms(block, artifact, policy).items()}
    of_items = {name: artifact.terms[name] for name in weighed(artifact.terms, policy)}
    forbidden = seen[judged] if policy == "new_items" else np.zeros((int(judged.sum()), block.items), dtype=bool)
    chosen, allowed = _union_of_best(terms, of_items, forbidden, per_term)
    taken = {name: np.take_along_axis(values, chosen, axis=1) for name, values in terms.items()}
    taken |= {name: vector[chosen] for name, vector in of_items.items()}
    hits = np.take_along_axis(true[judged], chosen, axis=1) & allowed
    return Candidates(taken, allowed, hits, ideal_dcg(count[judged], k), k)


def _true_items(
    batch: pa.RecordBatch, artifact: Artifact, block: HistoryBlock
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    truth = batch.column("truth")
    count = pc.fill_null(pc.list_value_length(truth), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    rows = np.repeat(np.arange(block.shoppers), count)
    columns = pc.fill_null(pc.index_in(truth.flatten(), value_set=artifact.items), -1).to_numpy()
    true = np.zeros((block.shoppers, block.items), dtype=bool)
    true[rows[columns >= 0], columns[columns >= 0]] = True
    return true, count


def _dense(values: NDArray[np.float32] | csr_matrix) -> NDArray[np.float32]:
    return values if isinstance(values, np.ndarray) else values.toarray().astype(np.float32, copy=False)


def _union_of_best(
    terms: dict[str, NDArray[np.float32]],
    item_terms: dict[str, NDArray[np.float32]],
    forbidden: NDArray[np.bool_],
    per_term: int,
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Columns [shoppers, widest union], padded, and which of them count."""
    shoppers, items = forbidden.shape
    per_term = min(per_term, items)
    wanted = np.zeros((shoppers, items), dtype=bool)
    for values in terms.values():
        masked = np.where(forbidden, -np.inf, values)
        best = np.argpartition(-masked, per_term - 1, axis=1)[:, :per_term]
        np.put_along_axis(wanted, best, values=True, axis=1)
    for vector in item_terms.values():
        wanted[:, np.argpartition(-vector, per_term - 1)[:per_term]] = True
    wanted &= ~forbidden
    width = max(1, int(wanted.sum(axis=1).max()))
    columns = np.argsort(~wanted, axis=1, kind="stable")[:, :width]
    return columns, np.take_along_axis(wanted, columns, axis=1)


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
