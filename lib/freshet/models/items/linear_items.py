"""The linear item model EASE: each item's strengths as a ridge regression on those of all other items.

Steck 2019, "Embarrassingly Shallow Autoencoders for Sparse Data", eq. 8: with P = (X'X + reg I)^-1, the weight of
item i in the score of item j is -P_ij / P_jj, and 0 for i = j. Where it fits: the exact solution takes 4 bytes per
pair of items and time as its cube, so some 20,000 items in 2 GB. Larger catalogues keep the `dense_items` most frequent
items exact (damped_gram.py says what becomes of the others).
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from scipy.sparse import csr_matrix, vstack

from freshet.models.items.item_weights import check_memory, fitted_weights
from freshet.numeric.coded_rows import CodedRows
from freshet.numeric.damped_gram import blocks, damped_gram, needed_bytes
from freshet.numeric.sparse_products import largest

_LARGEST_FLOAT = 3.4e38


@dataclass(frozen=True)
class LinearItemParameters:
    """`reg_param` is added to the diagonal of X'X; `count` weights are kept per scored item, the largest in size.

    The `dense_items` items of largest diagonal are solved exactly, all of them where the catalogue has no more.
    """

    reg_param: float
    count: int
    dense_items: int

    def __post_init__(self) -> None:
        if not self.reg_param > 0 or self.count < 1 or self.dense_items < 1:
            raise ValueError("reg_param must be above 0, count and dense_items 1 or more")


def linear_item_matrix(strengths: csr_matrix, params: LinearItemParameters) -> csr_matrix:
    """float32 weights [scored, speaking] for strengths [shoppers, items] >= 0; an item without shoppers has none."""
    items = strengths.shape[1]
    gram = damped_gram(strengths, reg_param=params.reg_param, dense_items=params.dense_items)
    rows = []
    for start, end in blocks(items, items):
        scored, place = np.arange(start, end), np.arange(end - start)
        unit = np.zeros((len(place), items), dtype=np.float32)
        unit[place, scored] = 1.0
        # One more than is kept, since an item's own entry is not.
        weights = gram.solved(unit, params.count + 1)
        weights /= -weights[place, scored][:, None]
        weights[place, scored] = 0.0
        rows.append(largest(weights, params.count))
    return vstack(rows, format="csr") if rows else csr_matrix((items, items), dtype=np.float32)


def linear_item_weights(
    interactions: DataFrame, params: LinearItemParameters, *, threads: int, memory_gb: float
) -> pa.Table:
    """(item_id, neighbours array<item_id, weight>) from rows (user_id, item_id, strength).

    Rows whose strength is not above 0, null or no finite number are left out; none left gives no row. Raises
    SetupError where it would need more than `memory_gb`, SettingsError where reg_param is too small to be solved.
    """

    def fit(rows: CodedRows) -> csr_matrix:
        strengths = rows.matrix()
        items = strengths.shape[1]
        needed = needed_bytes(strengths, dense_items=params.dense_items, sides=items * min(params.count, items))
        check_memory(needed, memory_gb, items=items, setting="item_models.memory_gb")
        return linear_item_matrix(strengths, params)

    # Not a number compares as the largest of all.
    usable = (F.col("strength") > 0) & (F.col("strength") <= _LARGEST_FLOAT)
    wanted = interactions.where(usable).select(
        F.col("user_id").cast("string"), F.col("item_id").cast("string"), F.col("strength").cast("double")
    )
    return fitted_weights(wanted, fit, threads=threads)
