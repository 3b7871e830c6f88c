"""Histories without texts: four numbers per entry, in the form that the stream keeps and scoring reads."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from freshet.numeric.compiled import compiled

TIME, KEY, ORDER, WHAT = range(4)
"""Columns of an entry, all int64: event_time in microseconds since 1970 UTC; entry_key; order_key; item and event name
as two codes in one number."""

NAME_BITS = 10
"""Bits for the code of the event name, below those of the item's code."""


@dataclass(frozen=True)
class PackedHistories:
    """Histories of some shoppers, one after the other, each newest first.

    `lengths`: entries per shopper; `entries`: int64 [entries, 4]; `items` and `names` give the texts of the codes.
    """

    lengths: NDArray[np.int64]
    entries: NDArray[np.int64]
    items: pa.Array
    names: pa.Array


EMPTY = PackedHistories(np.zeros(1, np.int64), np.empty((0, 4), np.int64), *[pa.array([], pa.string())] * 2)
"""One shopper without history."""


def microseconds(moments: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Times as int64, as in column TIME."""
    return moments.cast(pa.timestamp("us")).cast(pa.int64())


def packed_what(items: NDArray[np.int64], names: NDArray[np.int64]) -> NDArray[np.int64]:
    """Column WHAT from item codes and codes of event names."""
    return (items << NAME_BITS) | names


def merged(
    lengths: NDArray[np.int64], entries: NDArray[np.int64],
    new_lengths: NDArray[np.int64], new_entries: NDArray[np.int64], most: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:  # fmt: skip
    """Lengths and entries of the same shoppers with the new entries: the newest `most` of each, newest first.

    Both sides hold entries one shopper after the other, the old ones newest first, the new ones in any order. An entry
    whose key exists already changes nothing. So merging the same entries twice has the effect of merging them once, if
    a key has one time; an entry that is sent again with another time may return after it was pushed out.
    """
    sizes = np.minimum(lengths + new_lengths, most)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    out = np.empty((int(starts[-1]), 4), dtype=np.int64)
    kept = np.empty(len(lengths), dtype=np.int64)
    _merge(lengths, np.ascontiguousarray(entries), new_lengths, np.ascontiguousarray(new_entries), most, starts, out,
           kept)  # fmt: skip
    if kept.sum() == len(out):
        return kept, out
    place = np.arange(len(out)) - np.repeat(starts[:-1], sizes)
    return kept, out[place < np.repeat(kept, sizes)]


@compiled
def _merge(
    lengths: NDArray[np.int64], entries: NDArray[np.int64], new_lengths: NDArray[np.int64],
    new_entries: NDArray[np.int64], most: int, starts: NDArray[np.int64], out: NDArray[np.int64],
    kept: NDArray[np.int64],
) -> None:  # fmt: skip
    old, new = 0, 0
    for shopper in range(len(lengths)):
        start, count = starts[shopper], min(lengths[shopper], most)
        for n in range(count):
            out[start + n] = entries[old + n]
        old += lengths[shopper]
        for _ in range(new_lengths[shopper]):
            time, key = new_entries[new, TIME], new_entries[new, KEY]
            place, is_known = count, False
            for n in range(count):
                at = start + n
                if out[at, KEY] == key:
                    is_known = True
                    break
                if place == count and (out[at, TIME] < time or (out[at, TIME] == time and out[at, KEY] < key)):
                    place = n
            if not is_known and place < most:
                count = min(count + 1, most)
                for n in range(count - 1, place, -1):
                    out[start + n] = out[start + n - 1]
                out[start + place] = new_entries[new]
            new += 1
        kept[shopper] = count
