"""The item_ terms: what is popular, rising, new, one value per item, from item features as of the cut."""

from datetime import datetime

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

POPULARITY_WINDOWS_DAYS = (7, 14, 30, 90, 365)
NEW_WITHIN_DAYS = (60, 120)

RECENT_POPULARITY = ("item_popular_30d", "item_popular_90d", "item_popular_365d", "item_popular_all")
"""Terms by which the catalogue is ordered for shoppers of whom nothing is known: the first that an artifact has. There
is no first where, in that window, as many took one item as another, as where nothing was sold."""


def item_terms(features: pa.Table, *, as_of: datetime) -> dict[str, NDArray[np.float32]]:
    """Terms by name for rows of contract ITEM_FEATURES, in their order; each standardised over the items.

    item_popular_*: square root of distinct shoppers in the window (all: of all time); item_trend: the log trend;
    item_new_*: 1 when first seen within so many days. A term that is the same for all items is left out.
    """
    columns = {f"item_popular_{days}d": np.sqrt(_numbers(features, f"shoppers_{days}d"))
               for days in POPULARITY_WINDOWS_DAYS}  # fmt: skip
    columns["item_popular_all"] = np.sqrt(_numbers(features, "shoppers"))
    columns["item_trend"] = np.nan_to_num(_numbers(features, "trend"))
    first_seen = features.column("first_seen").cast(pa.timestamp("us")).cast(pa.int64()).to_numpy()
    age_days = (np.datetime64(as_of, "us").astype(np.int64) - first_seen) / 86_400e6
    for days in NEW_WITHIN_DAYS:
        columns[f"item_new_{days}d"] = (age_days <= days).astype(np.float64)
    return {
        name: ((values - values.mean()) / values.std()).astype(np.float32)
        for name, values in columns.items()
        if len(values) and values.std() > 1e-9
    }


def _numbers(features: pa.Table, name: str) -> NDArray[np.float64]:
    return features.column(name).cast(pa.float64()).to_numpy()
