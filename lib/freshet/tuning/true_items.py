"""The true items of validation cases, as keys: a shopper's row times the items of the catalogue, plus a column."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from freshet.contracts.policies import NEW_ITEMS
from freshet.ranking.artifact import Artifact
from freshet.ranking.histories.history_block import HistoryBlock


class TrueItems(NamedTuple):
    """keys: of the true items that the catalogue has, each once, in rising order; counts [shoppers]: all true items,
    also those that it has not; forbidden: keys of items that the policy never lists, which are not true either."""

    keys: NDArray[np.int64]
    counts: NDArray[np.int64]
    forbidden: NDArray[np.int64]


def true_items(batch: pa.RecordBatch, block: HistoryBlock, artifact: Artifact, policy: str) -> TrueItems:
    """The true items under a policy of the cases (user_id, history, truth), whose histories `block` has."""
    truth = batch.column("truth")
    count = pc.fill_null(pc.list_value_length(truth), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    rows = np.repeat(np.arange(batch.num_rows, dtype=np.int64), count)
    columns = pc.fill_null(pc.index_in(truth.flatten(), value_set=artifact.items), -1).to_numpy()
    known = columns >= 0
    keys = np.unique(rows[known] * block.items + columns[known])
    if policy != NEW_ITEMS:
        return TrueItems(keys, count, np.empty(0, dtype=np.int64))
    forbidden = entry_keys(block.touched(artifact.recipe.target_code))
    is_had = np.isin(keys, forbidden)
    if is_had.any():
        count = count - np.bincount(keys[is_had] // block.items, minlength=block.shoppers)
    return TrueItems(keys[~is_had], count, forbidden)


def entry_keys(matrix: csr_matrix) -> NDArray[np.int64]:
    """The key of each entry of a matrix [shoppers, items]."""
    rows = np.repeat(np.arange(matrix.shape[0], dtype=np.int64), np.diff(matrix.indptr))
    return rows * matrix.shape[1] + matrix.indices
