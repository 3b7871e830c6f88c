"""Columns of text whose distinct values are looked at once, for conditions on items and shoppers."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from freshet.contracts.events import CATEGORY_LEVELS


class TextColumn:
    """A column as codes of its distinct values; what is asked of a value is computed once per distinct value."""

    def __init__(self, values: pa.Array) -> None:
        if pa.types.is_floating(values.type):
            self._as_numbers: NDArray[np.float64] | None = values.to_numpy(zero_copy_only=False).astype(np.float64)
            values = values.cast(pa.string())
        else:
            self._as_numbers = None
        coded = values.dictionary_encode()
        self._distinct: list[str] = coded.dictionary.to_pylist()
        self._places = {text: place for place, text in enumerate(self._distinct)}
        self.codes: NDArray[np.int32] = pc.fill_null(coded.indices, -1).to_numpy(zero_copy_only=False)
        self._as_times: NDArray[np.datetime64] | None = None

    def among(self, values: Iterable[str], *, with_deeper: bool) -> NDArray[np.bool_]:
        chosen = [self._places[value] for value in values if value in self._places]
        if with_deeper:
            starts = tuple(value + CATEGORY_LEVELS for value in values)
            chosen += [place for text, place in self._places.items() if text.startswith(starts)]
        return self._per_item(np.isin(np.arange(len(self._distinct)), chosen), nothing=False)

    @property
    def numbers(self) -> NDArray[np.float64]:
        if self._as_numbers is None:
            values = np.array([_number(text) for text in self._distinct], dtype=np.float64)
            self._as_numbers = self._per_item(values, nothing=np.nan)
        return self._as_numbers

    @property
    def times(self) -> NDArray[np.datetime64]:
        if self._as_times is None:
            values = np.array([_time(text) for text in self._distinct], dtype="datetime64[us]")
            self._as_times = self._per_item(values, nothing=np.datetime64("NaT"))
        return self._as_times

    def _per_item(self, values: NDArray[Any], *, nothing: Any) -> NDArray[Any]:
        return np.append(values, nothing)[self.codes]


def attribute_columns(attributes: pa.MapArray) -> dict[str, pa.Array]:
    """[rows] of text by attribute, null where a row of the map does not have it."""
    rows = np.repeat(np.arange(len(attributes)), pc.fill_null(pc.list_value_length(_lists(attributes)), 0).to_numpy())
    keys, values = attributes.keys, attributes.items
    if not len(keys):
        return {}
    coded = keys.dictionary_encode()
    codes = coded.indices.to_numpy()
    found = {}
    for code, name in enumerate(coded.dictionary.to_pylist()):
        mine = np.flatnonzero(codes == code)
        found[name] = _spread(rows[mine], values.take(pa.array(mine)), len(attributes))
    return found


def _lists(attributes: pa.MapArray) -> pa.ListArray:
    return attributes.cast(pa.list_(pa.struct([("key", pa.string()), ("value", pa.string())])))


def _spread(rows: NDArray[np.int64], values: pa.Array, size: int) -> pa.Array:
    places = np.full(size, -1)
    places[rows] = np.arange(len(rows))
    return values.take(pa.array(places, mask=places < 0))


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return np.nan
    return value if np.isfinite(value) else np.nan


def _time(text: str) -> np.datetime64:
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        return np.datetime64("NaT")
    return np.datetime64(value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value, "us")
