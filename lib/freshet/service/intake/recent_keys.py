"""Recent event ids, to recognise events that are sent again. Not stored: they are rebuilt from the tables at a start.

A key is 128 bits of hash, two whole numbers: among a thousand million keys the chance that two different ids
have the same key is below 1e-20. Sixteen bytes are kept for each.
"""

from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Keys = NDArray[np.int64]
"""[keys, 2]"""


_HASHES = (("freshet of today", 0x9E3779B97F4A7C15), ("another of these", 0xC2B2AE3D27D4EB4F))
"""For each half the key of its hash and the factor of the position, any odd number."""


def keys_of(events: pa.Table | pa.RecordBatch) -> Keys:
    """The key of each row of EVENT_KEY: SipHash of the id, plus a multiple of the position.

    A null id counts as an empty one, a null position as -1.
    """
    ids = pc.fill_null(events.column("event_id"), "").to_numpy(zero_copy_only=False)
    places = pc.fill_null(events.column("item_position"), -1).to_numpy(zero_copy_only=False).astype(np.uint64)
    halves = [
        pd.util.hash_array(ids, hash_key=key, categorize=False) + places * np.uint64(factor) for key, factor in _HASHES
    ]
    return np.stack(halves, axis=1).view(np.int64).reshape(-1, 2)


@dataclass
class _Part:
    keys: Keys
    newest: datetime


@dataclass
class RecentKeys:
    """Keys in sorted parts, the oldest first; the newest receipt time of a part decides when it may be dropped."""

    _parts: list[_Part] = field(default_factory=list)

    def __len__(self) -> int:
        return sum(len(part.keys) for part in self._parts)

    def seen(self, keys: Keys) -> NDArray[np.bool_]:
        """Which of `keys` were added."""
        found = np.zeros(len(keys), dtype=bool)
        for part in self._parts:
            places = np.searchsorted(part.keys[:, 0], keys[:, 0])
            inside = np.minimum(places, len(part.keys) - 1)
            found |= (part.keys[inside] == keys).all(axis=1)
        return found

    def add(self, keys: Keys, newest: datetime) -> None:
        """Adds new keys, received until `newest`. Parts of similar size are merged."""
        if not len(keys):
            return
        self._parts.append(_Part(keys[np.argsort(keys[:, 0], kind="stable")], newest))
        while len(self._parts) > 1 and len(self._parts[-2].keys) < 2 * len(self._parts[-1].keys):
            last, before = self._parts.pop(), self._parts.pop()
            both = np.concatenate([before.keys, last.keys])
            self._parts.append(_Part(both[np.argsort(both[:, 0], kind="stable")], max(before.newest, last.newest)))

    def forget(self, before: datetime) -> None:
        """Drops parts whose keys were all received before a moment."""
        self._parts = [part for part in self._parts if part.newest >= before]


def repeats_within(keys: Keys, order: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which keys repeat an earlier one of the same array; of equal keys the one with the lowest `order` is the
    first."""
    by_key = np.lexsort((order, keys[:, 1], keys[:, 0]))
    sorted_keys = keys[by_key]
    again = np.concatenate([[False] if len(keys) else [], (np.diff(sorted_keys, axis=0) == 0).all(axis=1)]).astype(bool)
    repeated = np.zeros(len(keys), dtype=bool)
    repeated[by_key[again]] = True
    return repeated
