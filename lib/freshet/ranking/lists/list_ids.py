"""Ids of lists: what a list was made from, as a number of 64 bits.

An id depends on nothing else, so that a micro-batch that is repeated, or a batch that is run twice, gives the same ids,
and so that whatever is left to chance in a list (exploration.py) is the same too.
"""

import hashlib
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from freshet.ranking.histories.history_block import HistoryBlock

_BYTES = 8

ID_PATTERN = r"^(?P<model_version>\d+\.\d+)-[0-9a-f]{16}$"
"""What a recommendation_id looks like. Other ids in events are those of lists that somebody else has made."""


def list_keys(user_ids: pa.Array, block: HistoryBlock, *, clock: datetime, policy: str) -> NDArray[np.uint64]:
    """[shoppers]: a hash (BLAKE2b) of each shopper's id and history in `block`, the clock and the policy.

    Two different lists of one model have the same key with a probability of 2^-64.
    """
    ends = np.searchsorted(block.row, np.arange(block.shoppers + 1)).tolist()
    common = hashlib.blake2b(f"{policy}\0{clock.isoformat()}\0".encode(), digest_size=_BYTES)
    columns = [each.tobytes() for each in (block.item, block.event, block.age_days)]
    made = bytearray()
    for user_id, unknown, start, end in zip(
        user_ids.to_pylist(), block.unknown.tolist(), ends[:-1], ends[1:], strict=True
    ):
        own = common.copy()
        own.update(f"{user_id}\0{unknown}\0".encode())
        for values in columns:
            # Each of these columns has 8 bytes for an entry.
            own.update(values[8 * start : 8 * end])
        made += own.digest()
    return np.frombuffer(bytes(made), dtype=">u8").astype(np.uint64)


def recommendation_ids(model_version: str, keys: pa.Array) -> pa.Array:
    """The column recommendation_id of lists of a model version, as 3.0-00c0ffee00c0ffee, from their keys in
    hexadecimal."""
    return pc.binary_join_element_wise(model_version, keys, "-")


def in_hexadecimal(keys: NDArray[np.uint64]) -> pa.Array:
    """Keys as texts of 16 digits."""
    return pa.array([f"{key:016x}" for key in keys.tolist()], pa.string())
