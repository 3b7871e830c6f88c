"""Facts of items for rankers: no reason to list an item by themselves, but with others. A cheap item suits shoppers who
buy cheap ones."""

from datetime import datetime

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

UNKNOWN = -1.0

_FIGURES = {"item_price": "price", "item_return_rate": "return_rate", "item_repeat_rate": "repeat_rate"}
"""The column of contract ITEM_FEATURES by name."""

_TIMES = {"item_age_days": "first_seen", "item_idle_days": "last_seen"}
"""The column of a time from which days are counted."""

ITEM_FACTS = (*_FIGURES, *_TIMES)


def item_facts(features: pa.Table, *, as_of: datetime) -> dict[str, NDArray[np.float32]]:
    """[items] by name, for rows of contract ITEM_FEATURES, in their order; UNKNOWN for null."""
    found = {name: features.column(column).cast(pa.float64()).to_numpy() for name, column in _FIGURES.items()}
    moment = float(np.datetime64(as_of, "us").astype(np.int64))
    for name, column in _TIMES.items():
        times = features.column(column).cast(pa.timestamp("us")).cast(pa.int64()).cast(pa.float64()).to_numpy()
        found[name] = (moment - times) / 86_400e6
    return {name: np.nan_to_num(values, nan=UNKNOWN).astype(np.float32) for name, values in found.items()}
