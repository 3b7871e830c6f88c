"""Item vectors: popular, rising and new items, from item features as of the cut."""

import re
from abc import abstractmethod
from datetime import datetime

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from freshet.contracts.features import POPULARITY_WINDOWS_DAYS
from freshet.contracts.policies import POLICIES
from freshet.ranking.terms.reason import POPULAR_NOW
from freshet.ranking.terms.term import ItemVector

NEW_WITHIN_DAYS = (60, 120)


class _ShopperCounts(ItemVector):
    """A value from the number of distinct shoppers of each item, within a window of days or of all time."""

    reason = POPULAR_NOW

    @abstractmethod
    def values(self, features: pa.Table, column: str) -> NDArray[np.float64]:
        """[items] from the column of ITEM_FEATURES that has the counts of one window."""

    def member(self, days: int | None) -> str:
        """The name by window of POPULARITY_WINDOWS_DAYS, None for all time."""
        return f"{self.name}_all" if days is None else f"{self.name}_{days}d"

    def vectors(self, features: pa.Table, *, as_of: datetime) -> dict[str, NDArray[np.float64]]:
        columns: dict[int | None, str] = {days: f"shoppers_{days}d" for days in POPULARITY_WINDOWS_DAYS}
        columns[None] = "shoppers"
        return {self.member(days): self.values(features, column) for days, column in columns.items()}

    def of_new_item(self, values: NDArray[np.float32]) -> float:
        return float(values.min())


class Popularity(_ShopperCounts):
    """Square root of distinct shoppers within a window of days, or of all time."""

    name = "item_popular"
    policies = POLICIES

    def describe(self, member: str) -> str:
        found = re.fullmatch(r"_(.+)d", member.removeprefix(self.name))
        return f"Popular in the last {found[1]} days" if found else "Popular of all time"

    def values(self, features: pa.Table, column: str) -> NDArray[np.float64]:
        return np.sqrt(_numbers(features, column))


class PopularityRank(_ShopperCounts):
    """The share of the catalogue's distinct ranks that are below the rank of an item: from 0 to below 1.

    Items are ranked by shoppers within a window of days, or of all time; equal ones by those of 30 days, then of all
    time. Items that are equal in all three have the same value. Unlike the standardised terms the value is bounded,
    however popular an item is. The search gives it no weight: plain methods do (ranking/plain_methods.py).
    """

    name = "item_rank"
    policies = ()
    is_standardised = False

    def describe(self, member: str) -> str:
        found = re.fullmatch(r"_(.+)d", member.removeprefix(self.name))
        return f"Rank by popularity in the last {found[1]} days" if found else "Rank by popularity of all time"

    def values(self, features: pa.Table, column: str) -> NDArray[np.float64]:
        keys = [_numbers(features, name) for name in ("shoppers", "shoppers_30d", column)]
        order = np.lexsort(keys)
        is_higher = np.zeros(len(order), dtype=np.bool_)
        for key in keys:
            is_higher[1:] |= key[order[1:]] != key[order[:-1]]
        below = np.empty(len(order), dtype=np.int64)
        below[order] = np.cumsum(is_higher)
        return below / (is_higher.sum() + 1)


class Trend(ItemVector):
    """The log trend."""

    name = "item_trend"
    reason = POPULAR_NOW
    policies = POLICIES

    def describe(self, member: str) -> str:
        return "Rising lately"

    def vectors(self, features: pa.Table, *, as_of: datetime) -> dict[str, NDArray[np.float64]]:
        return {self.name: np.nan_to_num(_numbers(features, "trend"))}


class Newness(ItemVector):
    """1 for items first seen within a window of days, else 0."""

    name = "item_new"
    reason = POPULAR_NOW
    policies = POLICIES

    def describe(self, member: str) -> str:
        found = re.fullmatch(r"_(.+)d", member.removeprefix(self.name))
        return f"New within {found[1]} days" if found else "New"

    def vectors(self, features: pa.Table, *, as_of: datetime) -> dict[str, NDArray[np.float64]]:
        first_seen = features.column("first_seen").cast(pa.timestamp("us")).cast(pa.int64()).to_numpy()
        age_days = (np.datetime64(as_of, "us").astype(np.int64) - first_seen) / 86_400e6
        return {f"{self.name}_{days}d": (age_days <= days).astype(np.float64) for days in NEW_WITHIN_DAYS}

    def of_new_item(self, values: NDArray[np.float32]) -> float:
        return float(values.max())


def _numbers(features: pa.Table, name: str) -> NDArray[np.float64]:
    return features.column(name).cast(pa.float64()).to_numpy()
