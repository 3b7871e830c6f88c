"""A block of shoppers' histories as flat NumPy arrays, and decayed strengths computed from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from freshet.numeric.coded_rows import changes
from freshet.numeric.compiled import compiled
from freshet.ranking.histories.entry_columns import FIELDS, column_of, list_lengths
from freshet.ranking.histories.packed_histories import NAME_BITS, ORDER, TIME, WHAT, PackedHistories, microseconds

_DAY_MICROSECONDS, _DAY_MINUTES = 86_400_000_000, 1440.0


class ItemHistories(NamedTuple):
    """What a block says of each (shopper, item), in their order: arrays [pairs].

    row: the shopper's row; newest_days and oldest_days: ages of the newest and the oldest event; gap_days: mean days
    between events, NaN for one event; events and targets: number of events, and of target events; steps_ago: steps
    since the newest one of positive weight, 0 being the newest step, NaN for none.
    """

    row: NDArray[np.int64]
    newest_days: NDArray[np.float64]
    oldest_days: NDArray[np.float64]
    gap_days: NDArray[np.float64]
    events: NDArray[np.float64]
    targets: NDArray[np.float64]
    steps_ago: NDArray[np.float64]


@dataclass(frozen=True)
class HistoryBlock:
    """Histories of some shoppers for one catalogue; one element per distinct (shopper, item, event name, order).

    Elements are sorted by shopper and item, within them newest first. `age_days` is relative to the event clock and
    never below 0. `unknown` counts, per shopper, entries with items that the catalogue does not have.
    """

    shoppers: int
    items: int
    row: NDArray[np.int64]
    item: NDArray[np.int64]
    event: NDArray[np.int64]
    age_days: NDArray[np.float64]
    unknown: NDArray[np.int64]

    def part(self, start: int, stop: int) -> "HistoryBlock":
        """The histories of the shoppers at start:stop."""
        first, last = np.searchsorted(self.row, (start, stop))
        inside = slice(int(first), int(last))
        return HistoryBlock(
            min(stop, self.shoppers) - start, self.items, self.row[inside] - start, self.item[inside],
            self.event[inside], self.age_days[inside], self.unknown[start:stop],
        )  # fmt: skip

    def taken(self, rows: NDArray[np.int64]) -> "HistoryBlock":
        """The histories of these shoppers, in this order."""
        ends = np.searchsorted(self.row, np.arange(self.shoppers + 1))
        counts = np.diff(ends)[rows]
        first = np.cumsum(counts) - counts
        inside = np.arange(counts.sum()) - np.repeat(first - ends[rows], counts)
        return HistoryBlock(
            len(rows), self.items, np.repeat(np.arange(len(rows)), counts), self.item[inside], self.event[inside],
            self.age_days[inside], self.unknown[rows],
        )  # fmt: skip

    @cached_property
    def _pairs(self) -> NDArray[np.int64]:
        """The indices at which a new (shopper, item) pair starts."""
        return np.flatnonzero(changes(self.row, self.item)).astype(np.int64)

    def strengths(
        self, weights: NDArray[np.float64], half_life_days: float | None, *, at_least: float = 0.0
    ) -> csr_matrix:
        """[shoppers, items]: sum of weight * 0.5^(age / half_life); None means no decay.

        `weights` is by event code, as in `read_block`. Sums of 0 or less, or below `at_least`, are left out.
        """
        value = weights[self.event]
        if half_life_days is not None:
            value = value * np.exp2(-self.age_days / half_life_days)
        total = np.add.reduceat(value, self._pairs) if len(value) else value
        return self._matrix(total, (total > 0) & (total >= at_least))

    def newest(self, events: NDArray[np.bool_], half_life_days: float | None) -> csr_matrix:
        """float32 [shoppers, items]: 0.5^(age / half_life) of the newest of an item's `events`, by event code."""
        value = np.where(events[self.event], 1.0, 0.0)
        if half_life_days is not None:
            value = value * np.exp2(-self.age_days / half_life_days)
        highest = np.maximum.reduceat(value, self._pairs) if len(value) else value
        return self._matrix(highest.astype(np.float32), highest > np.finfo(np.float32).tiny)

    def states(self, events: NDArray[np.bool_], items: NDArray[np.bool_], *, decay: float, steps: int) -> csr_matrix:
        """float32 [shoppers, items]: sum over a shopper's `steps` newest moments, step 0 the newest, of decay^step.

        `events`, by event code, and `items`, by column, select the elements that count as steps. Events with the same
        time are one step, and an item that occurs twice in a step counts once.
        """
        order, step, is_first = self._steps(np.flatnonzero(events[self.event] & items[self.item]))
        keep = (step < steps) & is_first
        value = np.zeros(len(self.row))
        value[order[keep]] = decay ** step[keep]
        total = np.add.reduceat(value, self._pairs) if len(value) else value
        return self._matrix(total.astype(np.float32), total > 0)

    def at_step(self, events: NDArray[np.bool_], step: int) -> csr_matrix:
        """float32 [shoppers, items]: 1 at the items of one of the steps of `states`, 0 being the newest."""
        order, steps = self._all_steps(events)
        is_chosen = np.zeros(len(self.row), dtype=np.bool_)
        is_chosen[order[steps == step]] = True
        found = np.logical_or.reduceat(is_chosen, self._pairs) if len(is_chosen) else is_chosen
        return self._matrix(np.ones(len(found), dtype=np.float32), found)

    def _all_steps(self, events: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The elements of these events and their steps. Computed once, as several terms ask for a step each."""
        key = events.tobytes()
        if key not in self._known_steps:
            self._known_steps[key] = self._steps(np.flatnonzero(events[self.event]))[:2]
        return self._known_steps[key]

    @cached_property
    def _known_steps(self) -> dict[bytes, tuple[NDArray[np.int64], NDArray[np.int64]]]:
        return {}

    def _steps(self, counted: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
        """The `counted` elements, newest first within each shopper; the step of each; whether it is the first of its
        item in the step."""
        # Elements are sorted by shopper and item: equal items of a step are adjacent after a stable sort.
        order = counted[np.lexsort((self.age_days[counted], self.row[counted]))]
        row, age, item = self.row[order], self.age_days[order], self.item[order]
        opens_row, opens_moment = changes(row), changes(row, age)
        moment = np.cumsum(opens_moment) - 1
        step = moment - np.repeat(moment[opens_row], np.diff(np.append(np.flatnonzero(opens_row), len(row))))
        return order, step, changes(row, age, item)

    def touched(self, event_code: int) -> csr_matrix:
        """[shoppers, items]: 1 where the shopper has an entry of this event; nothing for code -1."""
        of_event = self.event == event_code
        touched = np.logical_or.reduceat(of_event, self._pairs) if len(of_event) else of_event
        return self._matrix(np.ones(len(touched), dtype=np.float32), touched)

    def pairs(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The row and the item of each (shopper, item), in their order."""
        return self.row[self._pairs], self.item[self._pairs]

    def newest_days(self, event_codes: Sequence[int]) -> NDArray[np.float64]:
        """By (shopper, item), in their order, the age of the newest of these events, infinite for none."""
        age = np.where(np.isin(self.event, event_codes), self.age_days, np.inf)
        return np.minimum.reduceat(age, self._pairs) if len(age) else age

    def current_visit(self, minutes: float) -> "HistoryBlock":
        """The histories without what was before the visit that is going on. A visit ends when nothing happens for
        longer than `minutes`; nothing is left of shoppers who are in none."""
        order = np.lexsort((self.age_days, self.row))
        row, age = self.row[order], self.age_days[order]
        starts = np.flatnonzero(changes(row))
        waited = np.diff(age, prepend=0.0)
        waited[starts] = age[starts]
        is_break = waited * _DAY_MINUTES > minutes
        breaks = np.cumsum(is_break)
        earlier: NDArray[np.int64] = np.repeat(breaks[starts] - is_break[starts], np.diff(np.append(starts, len(row))))
        inside = np.zeros(len(self.row), dtype=np.bool_)
        inside[order] = breaks == earlier
        return HistoryBlock(
            self.shoppers, self.items, self.row[inside], self.item[inside], self.event[inside], self.age_days[inside],
            self.unknown,
        )  # fmt: skip

    def item_histories(self, target_code: int, events: NDArray[np.bool_]) -> ItemHistories:
        """What the block says of each (shopper, item); `events`, by event code, are those that make steps."""
        pairs, age = self._pairs, self.age_days
        if not len(pairs):
            nothing = np.empty(0)
            return ItemHistories(np.empty(0, np.int64), *[nothing] * 6)
        count = np.diff(np.append(pairs, len(age))).astype(np.float64)
        newest, oldest = np.minimum.reduceat(age, pairs), np.maximum.reduceat(age, pairs)
        gap = np.where(count > 1, (oldest - newest) / np.maximum(count - 1, 1), np.nan)
        targets = np.add.reduceat((self.event == target_code).astype(np.float64), pairs)
        order, steps = self._all_steps(events)
        ago = np.full(len(age), np.inf)
        ago[order] = steps
        ago = np.minimum.reduceat(ago, pairs)
        return ItemHistories(
            self.row[pairs], newest, oldest, gap, count, targets, np.where(np.isfinite(ago), ago, np.nan)
        )

    def pair_places(self, columns: NDArray[np.int64]) -> NDArray[np.int64]:
        """[shoppers, n]: the index of each shopper's pair with the items `columns` [shoppers, n], -1 for none."""
        keys = self.row[self._pairs] * self.items + self.item[self._pairs]
        wanted = np.arange(self.shoppers)[:, None] * self.items + columns
        place = np.searchsorted(keys, wanted)
        is_there = np.append(keys, -1)[place] == wanted
        return np.where(is_there, place, -1)

    def _matrix(self, values: NDArray[np.floating], keep: NDArray[np.bool_]) -> csr_matrix:
        """A matrix of the kept values at their pairs. The order of the elements makes it canonical without a sort."""
        places = self._pairs[keep]
        starts = np.concatenate([[0], np.cumsum(np.bincount(self.row[places], minlength=self.shoppers))])
        return csr_matrix((values[keep], self.item[places], starts), shape=(self.shoppers, self.items))


def read_entries(batch: pa.RecordBatch, *, items: pa.Array, event_names: list[str], clock: datetime) -> HistoryBlock:
    """`read_block` of an Arrow batch with entry columns; texts may be codes of a dictionary."""
    lists = [batch.column(column_of(name)) for name in FIELDS]
    return _read(list_lengths(lists[0]), [each.flatten() for each in lists], items, event_names, clock)


def read_block(histories: pa.ListArray, *, items: pa.Array, event_names: list[str], clock: datetime) -> HistoryBlock:
    """A block from an Arrow column of histories (contracts.shoppers.HISTORY), newest entry first.

    `items` is the catalogue's ids; `event_names` gives event codes by position, other names are ignored.
    A null history counts as empty. `clock` is UTC without a zone.
    """
    entries = histories.flatten()
    return _read(list_lengths(histories), [entries.field(name) for name in FIELDS], items, event_names, clock)


def _read(
    lengths: NDArray[np.int64], fields: list[pa.Array], items: pa.Array, event_names: list[str], clock: datetime
) -> HistoryBlock:
    moments, texts, names, orders = fields
    order = orders.dictionary_encode().indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return _block(
        lengths, _codes(texts, items), _codes(names, pa.array(event_names, pa.string())), order.astype(np.int64),
        microseconds(moments).to_numpy(zero_copy_only=False), items=len(items), clock=clock,
    )  # fmt: skip


def packed_block(
    histories: PackedHistories, *, items: pa.Array, event_names: list[str], clock: datetime
) -> HistoryBlock:
    """`read_block` of packed histories."""
    what = histories.entries[:, WHAT]
    item_places = _item_places(histories.items, items)
    name_places = _codes(histories.names, pa.array(event_names, pa.string()))
    return _block(
        histories.lengths, item_places[what >> NAME_BITS], name_places[what & (2**NAME_BITS - 1)],
        histories.entries[:, ORDER], histories.entries[:, TIME], items=len(items), clock=clock,
    )  # fmt: skip


_kept: list[tuple[pa.Array, pa.Array, NDArray[np.int64]]] = []
"""The newest result of `_item_places`, with its arguments."""


def _item_places(coded: pa.Array, items: pa.Array) -> NDArray[np.int64]:
    """The catalogue column of each item of the histories. Both arrays, of tens of thousands of texts, are usually the
    same from one micro-batch to the next."""
    for known, catalogue, places in _kept:
        if known is coded and catalogue is items:
            return places
    places = _codes(coded, items)
    _kept[:] = [(coded, items, places)]
    return places


def _block(
    lengths: NDArray[np.int64], item: NDArray[np.int64], event: NDArray[np.int64], order: NDArray[np.int64],
    moment: NDArray[np.int64], *, items: int, clock: datetime,
) -> HistoryBlock:  # fmt: skip
    """A block of entries, one shopper after the other, from codes (-1: not known) and microseconds."""
    first, rows, unknown = np.empty_like(item), np.empty_like(item), np.zeros(len(lengths), dtype=np.int64)
    kept = _first_of_equals(lengths, item, event, order, first, rows, unknown)
    first, rows = first[:kept], rows[:kept]
    clock_microseconds = np.datetime64(clock, "us").astype(np.int64)
    age = np.maximum(0.0, (clock_microseconds - moment[first]) / _DAY_MICROSECONDS)
    return HistoryBlock(len(lengths), items, rows, item[first], event[first], age, unknown)


@compiled
def _first_of_equals(
    lengths: NDArray[np.int64], item: NDArray[np.int64], event: NDArray[np.int64], order: NDArray[np.int64],
    first: NDArray[np.int64], rows: NDArray[np.int64], unknown: NDArray[np.int64],
) -> int:  # fmt: skip
    """Writes index and shopper of the first entry of each (shopper, item, event, order) to `first` and `rows`, sorted
    by shopper, item and index, and returns their number. Adds the number of entries of unknown items to `unknown`.

    Entries come newest first, so a repeated line of an order counts once, at its last time. The sort is by index and
    not by order, so that sums do not depend on how orders are numbered in this block.
    """
    start, kept = 0, 0
    for row in range(len(lengths)):
        length = lengths[row]
        by_item = np.empty(length, dtype=np.int64)
        usable = 0
        for place in range(length):
            if event[start + place] >= 0:
                if item[start + place] >= 0:
                    by_item[usable] = item[start + place] * length + place
                    usable += 1
                else:
                    unknown[row] += 1
        by_item[:usable].sort()
        run = kept
        for n in range(usable):
            place = start + by_item[n] % length
            if run < kept and item[first[run]] != item[place]:
                run = kept
            is_new = True
            for earlier in range(run, kept):
                if event[first[earlier]] == event[place] and order[first[earlier]] == order[place]:
                    is_new = False
                    break
            if is_new:
                first[kept], rows[kept] = place, row
                kept += 1
        start += length
    return kept


def _codes(values: pa.Array, known: pa.Array) -> NDArray[np.int64]:
    if pa.types.is_dictionary(values.type):
        # The last index is for nulls.
        places = np.append(_codes(values.dictionary, known), -1)
        return places[pc.fill_null(values.indices, len(places) - 1).to_numpy(zero_copy_only=False)]
    return pc.fill_null(pc.index_in(values, value_set=known), -1).to_numpy(zero_copy_only=False).astype(np.int64)
