"""Which items occur in the events, found without Spark in the files that were not read before."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from freshet.contracts.events import LEFT_OUT_FLAGS
from freshet.tables.format.data_files import DataFile, live_files

_COLUMNS = ("item_id", "event_time", "user_id", "anonymous_id", "flags")
_ROWS_PER_READ = 100_000
_TIME = pa.timestamp("us", tz="UTC")

_CUT_OFF = timedelta(milliseconds=1)
"""Times in the log are truncated by less than this."""


class EventItems:
    """Ids of the items of product events since a moment (UTC): those that count as taste by contracts.shoppers.

    The ids of each file are kept, so that a call reads only files that were added since the last one. Packed files are
    read once more. One thread, with a batch of one file in memory at a time.
    """

    def __init__(self, folder: Path, since: datetime) -> None:
        self._folder, self.since = folder, since
        self._ids: dict[Path, pa.Array] = {}

    def ids(self) -> pa.Array:
        """All such ids of the table's newest version, unordered, each once. Raises NotPlainError."""
        known = self._ids
        self._ids = {
            file.path: known[file.path] if file.path in known else _ids_of_file(file, self.since)
            for file in live_files(self._folder)
        }
        return _union(self._ids.values())


def _ids_of_file(file: DataFile, since: datetime) -> pa.Array:
    newest: datetime | None = file.highest.get("event_time")
    if newest is not None and newest + _CUT_OFF <= since.replace(tzinfo=UTC):
        return _union([])
    with pq.ParquetFile(file.path, read_dictionary=["item_id"], pre_buffer=False) as parquet:
        columns = [name for name in _COLUMNS if name in parquet.schema_arrow.names]
        batches = parquet.iter_batches(_ROWS_PER_READ, columns=columns, use_threads=False)
        return _union(_ids_of_rows(batch, since) for batch in batches)


def _ids_of_rows(rows: pa.RecordBatch, since: datetime) -> pa.Array:
    """The rule of contracts.shoppers.counts_as_taste, on Arrow columns."""
    if not {"item_id", "event_time", "flags"} <= set(rows.schema.names):
        return pa.array([], pa.string())
    is_wanted = pc.greater_equal(rows.column("event_time").cast(_TIME), pa.scalar(since.replace(tzinfo=UTC), _TIME))
    shoppers = [rows.column(name).is_valid() for name in ("user_id", "anonymous_id") if name in rows.schema.names]
    has_shopper = np.logical_or.reduce([each.to_numpy(zero_copy_only=False) for each in shoppers])
    wanted = is_wanted.to_numpy(zero_copy_only=False) & has_shopper
    for flag in LEFT_OUT_FLAGS:
        wanted &= ~_marked(rows.column("flags"), flag)
    return pc.unique(rows.column("item_id").filter(pa.array(wanted)).drop_null())


def _marked(flags: pa.ListArray, flag: str) -> np.ndarray:
    """Whether each list holds the flag."""
    marked = np.zeros(len(flags), dtype=np.bool_)
    holders = pc.list_parent_indices(flags).filter(pc.equal(pc.list_flatten(flags), flag))
    marked[holders.to_numpy()] = True
    return marked


def _union(ids: Iterable[pa.Array]) -> pa.Array:
    return pc.unique(pa.concat_arrays([pa.array([], pa.string()), *(each.cast(pa.string()) for each in ids)]))
