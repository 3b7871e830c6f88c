"""A block of shoppers' histories as flat NumPy arrays, and decayed strengths made of them."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

_DAY_MICROSECONDS = 86_400_000_000


@dataclass(frozen=True)
class HistoryBlock:
    """Histories of some shoppers against one catalogue; one element per distinct (shopper, item, event name, order).

    `age_days` is taken against the event clock and never below 0. `unknown` counts, per shopper, entries with items
    that the catalogue does not have.
    """

    shoppers: int
    items: int
    row: NDArray[np.int64]
    item: NDArray[np.int64]
    event: NDArray[np.int64]
    age_days: NDArray[np.float64]
    unknown: NDArray[np.int64]

    def strengths(
        self, weights: NDArray[np.float64], half_life_days: float | None, *, at_least: float = 0.0
    ) -> csr_matrix:
        """[shoppers, items]: sum of weight * 0.5^(age / half_life); None means no decay.

        `weights` is by event code, as in `read_block`. Sums of 0 or less, or below `at_least`, are left out.
        """
        value = weights[self.event]
        if half_life_days is not None:
            value = value * np.exp2(-self.age_days / half_life_days)
        matrix = csr_matrix((value, (self.row, self.item)), shape=(self.shoppers, self.items))
        matrix.sum_duplicates()
        matrix.data[(matrix.data <= 0) | (matrix.data < at_least)] = 0.0
        matrix.eliminate_zeros()
        return matrix

    def touched(self, event_code: int) -> csr_matrix:
        """[shoppers, items]: 1 where the shopper has an entry of this event; nothing for code -1."""
        of_event = self.event == event_code
        ones = np.ones(int(of_event.sum()), dtype=np.float32)
        matrix = csr_matrix(
            (ones, (self.row[of_event], self.item[of_event])), shape=(self.shoppers, self.items)
        )
        matrix.sum_duplicates()
        matrix.data[:] = 1.0
        return matrix


def read_block(
    histories: pa.ListArray, *, items: pa.Array, event_names: list[str], clock: datetime
) -> HistoryBlock:
    """A block from an Arrow column of histories (contracts.shoppers.HISTORY), newest entry first.

    `items` is the catalogue's ids; `event_names` gives event codes by position, other names are ignored.
    A null history is an empty one. `clock` is UTC without a zone.
    """
    lengths = pc.fill_null(pc.list_value_length(histories), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    rows = np.repeat(np.arange(len(lengths)), lengths)
    entries = histories.flatten()
    item = _codes(entries.field("item_id"), items)
    event = _codes(entries.field("event_name"), pa.array(event_names, pa.string()))
    order = entries.field("order_id").dictionary_encode().indices.fill_null(-1).to_numpy(zero_copy_only=False)
    moment = (
        entries.field("event_time").cast(pa.timestamp("us")).cast(pa.int64()).to_numpy(zero_copy_only=False)
    )
    usable = (event >= 0) & (item >= 0)
    unknown = np.bincount(rows[(event >= 0) & (item < 0)], minlength=len(lengths))
    rows, item, event, order, moment = (
        rows[usable],
        item[usable],
        event[usable],
        order[usable],
        moment[usable],
    )
    key = (
        ((rows * len(items) + item) * len(event_names) + event) * (int(order.max(initial=0)) + 2) + order + 1
    )
    # Newest first, so the first of equal keys is the newest: a repeated line of an order counts once, at its last time.
    first = np.sort(np.unique(key, return_index=True)[1])
    clock_microseconds = np.datetime64(clock, "us").astype(np.int64)
    age = np.maximum(0.0, (clock_microseconds - moment[first]) / _DAY_MICROSECONDS)
    return HistoryBlock(len(lengths), len(items), rows[first], item[first], event[first], age, unknown)


def _codes(values: pa.Array, known: pa.Array) -> NDArray[np.int64]:
    return (
        pc.fill_null(pc.index_in(values, value_set=known), -1).to_numpy(zero_copy_only=False).astype(np.int64)
    )
