"""Item features for tests: rows of contract ITEM_FEATURES without as_of."""

from collections.abc import Sequence
from datetime import timedelta

import numpy as np
import pyarrow as pa
from pyspark.sql.types import NumericType

from freshet.contracts import ITEM_FEATURES
from tests.artifacts import CLOCK


def features(items: Sequence[str], *, is_even: bool = False) -> pa.Table:
    """Features that differ from item to item; `is_even`: the same of all."""
    numbers = np.zeros(len(items)) if is_even else np.arange(len(items), dtype=np.float64)
    figures = [column.name for column in ITEM_FEATURES.columns if isinstance(column.type, NumericType)]
    first_seen = [CLOCK - timedelta(days=40 * float(number)) for number in numbers]
    return pa.table({
        "item_id": pa.array(items, pa.string()),
        "first_seen": pa.array(first_seen, pa.timestamp("us")),
        "last_seen": pa.array(first_seen, pa.timestamp("us")),
        **{name: pa.array(numbers) for name in figures},
    })  # fmt: skip


def with_unknown_facts(known: pa.Table) -> pa.Table:
    """The table with nulls in the columns that an item without a purchase has no value for."""
    for name in ("price", "return_rate", "repeat_rate"):
        known = known.append_column(name, pa.nulls(known.num_rows, pa.float64()))
    return known.append_column("last_seen", pa.nulls(known.num_rows, pa.timestamp("us")))
