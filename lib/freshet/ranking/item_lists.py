"""Lists of items that belong to an item: those most like it, and those that go with it."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from freshet.models.items.next_items import NextItems
from freshet.ranking.artifact import Artifact


def similar_items(artifact: Artifact, *, length: int, left_out: NDArray[np.int64]) -> pa.Table:
    """(item_id, items list<position, item_id, score>, goes_with of the same type): the `length` nearest items of each,
    and those that tend to follow it or to be taken with it, ties by item_id.

    `left_out`: positions of items that are never listed. They still have rows themselves, since shoppers who look at
    such an item need alternatives. Without the model that similar items are based on their lists are empty, and without
    that of next items goes_with is null; items with neither have no row.
    """
    can_be_had = np.ones(len(artifact.items), dtype=np.bool_)
    can_be_had[left_out] = False
    model = artifact.similar_items_model
    by_item = csr_matrix(can_be_had.shape * 2, dtype=np.float32) if model is None else artifact.item_weights[model].T
    near = _lists(artifact.items, csr_matrix(by_item), can_be_had, length)
    following = artifact.item_weights.get(NextItems.name)
    if following is None:
        goes_with, has_any = pa.nulls(len(near), near.type), pc.list_value_length(near)
    else:
        goes_with = _lists(artifact.items, following, can_be_had, length)
        has_any = pc.add(pc.list_value_length(near), pc.list_value_length(goes_with))
    table = pa.table({"item_id": artifact.items, "items": near, "goes_with": goes_with})
    return table.filter(pc.greater(has_any, 0))


def _lists(items: pa.Array, weights: csr_matrix, can_be_had: NDArray[np.bool_], length: int) -> pa.ListArray:
    """The `length` largest weights above 0 of each row of `weights` [items, items], as lists of their columns."""
    item, near = np.repeat(np.arange(len(items)), np.diff(weights.indptr)), weights.indices
    kept = can_be_had[near] & (weights.data > 0) & (item != near)
    item, near, weight = item[kept], near[kept], weights.data[kept]
    order = np.lexsort((near, -weight, item))
    item, near, weight = item[order], near[order], weight[order]
    position = np.arange(len(item)) - np.searchsorted(item, item) + 1
    first = position <= length
    entries = pa.StructArray.from_arrays(
        [
            pa.array(position[first], pa.int32()),
            items.take(pa.array(near[first])),
            pa.array(weight[first], pa.float64()),
        ],
        ["position", "item_id", "score"],
    )
    counts = np.bincount(item[first], minlength=len(items))
    return pa.ListArray.from_arrays(pa.array(np.concatenate([[0], np.cumsum(counts)]), pa.int32()), entries)
