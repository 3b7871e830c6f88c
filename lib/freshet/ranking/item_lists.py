"""Lists that belong to no shopper: popular items, for shoppers without a history, and items similar to an item."""

from functools import reduce

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F
from scipy.sparse import csc_matrix

from freshet.contracts import POPULAR_ITEMS
from freshet.ranking.artifact import Artifact

_WINDOWS = {"7d": "shoppers_7d", "30d": "shoppers_30d", "all": "shoppers"}


def popular_items(features: DataFrame, categories: DataFrame, *, length: int) -> DataFrame:
    """Contract POPULAR_ITEMS: per window the `length` items with most shoppers, over all and within each category.

    `features` is contract ITEM_FEATURES at one as_of, `categories` (item_id, category_path), null for items without a
    category. Items without a shopper in a window are not in its list; ties by item_id.
    """
    scoped = features.join(categories, "item_id", how="left").withColumn(
        "scope", F.explode(F.array_compact(F.array(F.lit("all"), F.col("category_path"))))
    )
    parts = [
        scoped.select(
            "scope", F.lit(window).alias("window"), "item_id", F.col(column).cast("double").alias("score"), "as_of"
        )
        for window, column in _WINDOWS.items()
    ]
    order = Window.partitionBy("scope", "window").orderBy(F.desc("score"), "item_id")
    ranked = reduce(DataFrame.unionByName, parts).where("score > 0").withColumn("position", F.row_number().over(order))
    return ranked.where(F.col("position") <= length).select(*POPULAR_ITEMS.column_names)


def similar_items(artifact: Artifact, *, length: int, left_out: NDArray[np.int64]) -> pa.Table:
    """(item_id, items list<position, item_id, score>): the `length` nearest items, ties by item_id.

    `left_out`: positions of items that are never listed as a neighbour. They still have rows themselves, since shoppers
    who look at such an item need alternatives. An item without neighbours has no row. Without the model that similar
    items are based on there are no rows.
    """
    count = len(artifact.items)
    nothing = csc_matrix((count, count), dtype=np.float32)
    model = artifact.similar_items_model
    by_item = nothing if model is None else artifact.fitted[model].by_target
    can_be_had = np.ones(count, dtype=np.bool_)
    can_be_had[left_out] = False
    kept = can_be_had[by_item.indices]
    item, near = np.repeat(np.arange(count), np.diff(by_item.indptr))[kept], by_item.indices[kept]
    weight = by_item.data[kept]
    order = np.lexsort((near, -weight, item))
    item, near, weight = item[order], near[order], weight[order]
    position = np.arange(len(item)) - np.searchsorted(item, item) + 1
    first = position <= length
    return _table(artifact.items, item[first], near[first], weight[first], position[first])


def _table(
    items: pa.Array,
    item: NDArray[np.int64],
    near: NDArray[np.int32],
    weight: NDArray[np.float32],
    position: NDArray[np.int64],
) -> pa.Table:
    """The table from neighbours that are sorted by item and position."""
    entries = pa.StructArray.from_arrays(
        [pa.array(position, pa.int32()), items.take(pa.array(near)), pa.array(weight, pa.float64())],
        ["position", "item_id", "score"],
    )
    described, starts = np.unique(item, return_index=True)
    offsets = pa.array(np.append(starts, len(item)), pa.int32())
    return pa.table({"item_id": items.take(pa.array(described)), "items": pa.ListArray.from_arrays(offsets, entries)})
