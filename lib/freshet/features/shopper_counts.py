"""Features of shoppers at rising cuts, from the events of one task as arrays."""

from datetime import datetime

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from freshet.contracts.events import PURCHASE, REFUND
from freshet.contracts.features import FEATURE_WINDOWS_DAYS
from freshet.features.arrays import (
    DAY,
    NEVER,
    Bools,
    Floats,
    Ints,
    encoded,
    highest,
    is_any,
    joint,
    micros,
    micros_of,
    ratio,
)
from freshet.features.basis import CARTS, VIEWS


class ShopperCounts:
    """Holds rows (user_id, item_id, event_name, order_id, event_time, known_at, spend) in rising order of known_at.

    `features_at` must be called with rising cuts: totals are added up from cut to cut, windows are counted again.
    """

    def __init__(self, rows: pa.Table) -> None:
        self._users, self._user = encoded(rows.column("user_id"))
        _, self._item = encoded(rows.column("item_id"))
        _, order = encoded(rows.column("order_id"))
        self._time, self._known = micros(rows.column("event_time")), micros(rows.column("known_at"))
        self._spend = rows.column("spend").to_numpy().astype(np.float64)
        self._row_counts = {
            "views": is_any(rows.column("event_name"), VIEWS),
            "carts": is_any(rows.column("event_name"), CARTS),
        }
        kinds = [is_any(rows.column("event_name"), (name,)) for name in (PURCHASE, REFUND)]
        self._orders, self._refunds = (_Groups(self._user, order, self._time, self._user, is_kind) for is_kind in kinds)
        self._pairs = _Groups(self._user, self._item, self._time, self._user, self._item >= 0)
        # Distinct items of each order, by their first line.
        numbered = self._orders.of_row
        self._lines = _Groups(numbered, self._item, self._time, self._user, kinds[0] & (self._item >= 0))
        people = len(self._users)
        self._taken = 0
        self._first, self._last = np.full(people, np.iinfo(np.int64).max), np.full(people, NEVER)
        self._money, self._priced = np.zeros(people), np.zeros(people, dtype=np.int64)
        self._counted = {name: np.zeros(people, dtype=np.int64) for name in self._row_counts}

    def features_at(self, cut: datetime) -> dict[str, pa.Array | NDArray]:
        """The columns of USER_FEATURES without as_of, of shoppers with an event known before the cut; NaN for null."""
        moment = micros_of(cut)
        self._advance(int(np.searchsorted(self._known, moment, side="left")))
        people = len(self._users)
        orders, refunds = self._orders.count(people), self._refunds.count(people)
        trades = orders + refunds
        money = np.where(trades == 0, 0.0, np.where(self._priced > 0, self._money, np.nan))
        newest_order = self._orders.newest(people)
        basket = self._lines.count(people).astype(np.float64)
        made: dict[str, NDArray] = {
            "recency_days": np.where(newest_order > NEVER, (moment - newest_order) / DAY, np.nan),
            "idle_days": (moment - self._last) / DAY,
            "orders": orders,
            "monetary": money,
            "tenure_days": (moment - self._first) / DAY,
            **self._gaps(people),
            "items_breadth": self._pairs.count(people),
            "mean_basket_items": ratio(basket, np.where(basket > 0, orders, 0)),
            "refunds": refunds,
            "return_rate": ratio(refunds, trades),
            **self._counted,
        }
        for days in FEATURE_WINDOWS_DAYS:
            made |= self._in_window(moment - days * DAY, days, money)
        seen = self._last > NEVER
        return {"user_id": self._users.filter(pa.array(seen)), **{name: values[seen] for name, values in made.items()}}

    def _advance(self, stop: int) -> None:
        """Adds the rows up to `stop`, which became known since the last cut."""
        new = slice(self._taken, stop)
        self._taken = stop
        user, time, spend = self._user[new], self._time[new], self._spend[new]
        people = len(self._users)
        np.minimum.at(self._first, user, time)
        np.maximum.at(self._last, user, time)
        self._money += np.bincount(user, np.nan_to_num(spend), people)
        self._priced += np.bincount(user, ~np.isnan(spend), people).astype(np.int64)
        for name, is_counted in self._row_counts.items():
            self._counted[name] = self._counted[name] + np.bincount(user, is_counted[new], people).astype(np.int64)
        for groups in (self._orders, self._refunds, self._pairs, self._lines):
            groups.advance(new, time)

    def _in_window(self, start: int, days: int, money: Floats) -> dict[str, NDArray]:
        people = len(self._users)
        rows = np.flatnonzero(self._time[: self._taken] >= start)
        user = self._user[rows]
        spent = np.bincount(user, np.nan_to_num(self._spend[rows]), people)
        return {
            f"events_{days}d": np.bincount(user, minlength=people),
            f"orders_{days}d": self._orders.count(people, since=start),
            f"monetary_{days}d": np.where(np.isnan(money), np.nan, spent),
            f"items_{days}d": self._pairs.count(people, since=start),
        }

    def _gaps(self, people: int) -> dict[str, Floats]:
        """Mean and sample deviation of the days between a shopper's order days, NaN with too few of them."""
        user, time = self._orders.known()
        day = time // DAY
        span = int(day.max(initial=0)) + 1
        user, day = np.divmod(np.unique(user * span + day), span)
        same = user[1:] == user[:-1]
        gap, whose = np.diff(day)[same].astype(np.float64), user[1:][same]
        gaps = np.bincount(whose, minlength=people)
        mean = ratio(np.bincount(whose, gap, people), gaps)
        squares = np.bincount(whose, (gap - mean[whose]) ** 2, people)
        return {"mean_gap_days": mean, "sd_gap_days": np.sqrt(ratio(squares, np.where(gaps > 1, gaps - 1, 0)))}


class _Groups:
    """Rows of one key (two integers) as a group with its shopper and its newest time so far."""

    def __init__(self, left: Ints, right: Ints, time: Ints, user: Ints, chosen: Bools) -> None:
        rows = np.flatnonzero(chosen)
        _, first, groups = np.unique(joint(left[rows], right[rows]), return_index=True, return_inverse=True)
        self.of_row: Ints = np.full(len(time), -1, dtype=np.int64)
        self.of_row[rows] = groups
        self._user = user[rows][first]
        self._newest: Ints = np.full(len(first), NEVER)

    def advance(self, new: slice, time: Ints) -> None:
        groups = self.of_row[new]
        belongs = groups >= 0
        np.maximum.at(self._newest, groups[belongs], time[belongs])

    def count(self, people: int, since: int = NEVER + 1) -> Ints:
        """Groups per shopper whose newest time is not before `since`."""
        return np.bincount(self._user[self._newest >= since], minlength=people)

    def newest(self, people: int) -> Ints:
        """Newest time per shopper, NEVER where there is none."""
        return highest(self._newest, self._user, people)

    def known(self) -> tuple[Ints, Ints]:
        """Shopper and newest time of each group known so far."""
        known = self._newest > NEVER
        return self._user[known], self._newest[known]
