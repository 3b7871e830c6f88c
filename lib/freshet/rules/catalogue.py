"""Which items of a catalogue match the conditions of rules."""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import reduce
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from freshet.rules.rule import NOW, Bound, ItemCondition
from freshet.rules.text_columns import TextColumn, attribute_columns

_COLUMNS = {"category": "category_path"}
"""The columns of contract ITEMS_HISTORY with another name in conditions."""


class Catalogue:
    """Items (item_id, name, category_path, brand, price, attributes map<text, text>), one row each, at a moment (UTC
    without zone) to which NOW refers. Columns of text become codes once, since many rules look at the same ones."""

    def __init__(self, items: pa.Table, moment: datetime) -> None:
        self.item_ids = items.column("item_id").combine_chunks()
        self.moment = moment
        self._items = items
        self._attributes = attribute_columns(items.column("attributes").combine_chunks())
        self._texts: dict[tuple[str, bool], TextColumn] = {}
        self.bounds: set[datetime] = set()
        """Times later than `moment` at which a condition that was asked for changes its value."""

    @property
    def size(self) -> int:
        return len(self.item_ids)

    def matching(self, conditions: Sequence[ItemCondition]) -> NDArray[np.bool_]:
        """[items]: whether all conditions hold."""
        return reduce(np.logical_and, map(self._holds, conditions), np.ones(self.size, dtype=np.bool_))

    def numbers(self, column: str, *, is_attribute: bool) -> NDArray[np.float64]:
        """[items]: the values of a column or attribute as numbers, NaN where there is none."""
        return self._column(column, is_attribute).numbers

    def codes(self, column: str, *, is_attribute: bool) -> NDArray[np.int32]:
        """[items]: a number per distinct value, -1 for none."""
        return self._column(column, is_attribute).codes

    def _column(self, column: str, is_attribute: bool) -> "TextColumn":
        key = (column, is_attribute)
        if key not in self._texts:
            if is_attribute:
                texts = self._attributes.get(column, pa.nulls(self.size, pa.string()))
            else:
                texts = self._items.column(_COLUMNS.get(column, column)).combine_chunks()
            self._texts[key] = TextColumn(texts)
        return self._texts[key]

    def _holds(self, condition: ItemCondition) -> NDArray[np.bool_]:
        column = self._column(condition.column, condition.is_attribute)
        parts = []
        if condition.values:
            parts.append(column.among(condition.values, with_deeper=condition.column == "category"))
        if condition.missing is not None:
            parts.append((column.codes < 0) == condition.missing)
        for bound, is_inside in ((condition.at_least, np.greater_equal), (condition.below, np.less)):
            if bound is not None:
                parts.append(self._inside(column, bound, is_inside))
        return reduce(np.logical_and, parts)

    def _inside(self, column: "TextColumn", bound: Bound, is_inside: Callable[..., Any]) -> NDArray[np.bool_]:
        if isinstance(bound, float):
            found: NDArray[np.bool_] = is_inside(column.numbers, bound)
            return found
        if bound == NOW:
            # A value that equals now is neither above nor below it; the next microsecond decides.
            later = column.times[column.times >= np.datetime64(self.moment, "us")] + np.timedelta64(1, "us")
            self.bounds |= set(np.unique(later).tolist())
        moment = self.moment if bound == NOW else bound
        at: NDArray[np.bool_] = is_inside(column.times, np.datetime64(moment, "us"))
        return at & ~np.isnat(column.times)
