"""The newest list of each shopper over any number of data files, by Arrow, in bounded memory and one thread.

The same as LATEST_RECOMMENDATIONS in SQL, for a compaction: Spark needs two minutes of a core for a million lists,
since it reads, sorts and writes every element of a list on its own.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from freshet.contracts import RECOMMENDATION_UPDATES, RECOMMENDATIONS
from freshet.service.lists.latest import BATCH_VALUES, NEWEST_FIRST
from freshet.tables.format.arrow_rows import arrow_schema
from freshet.tables.format.data_files import DataFile

LISTS_PER_RANGE = 60_000
"""A range of shoppers is in memory at once: some 60 MB with lists of 20 items, and as much while it is sorted."""

_MOST_RANGES = 500
"""Each is an open file, of which a process may have 1,024. Beyond 30 million lists the ranges become larger."""

_LISTS_PER_READ = 16_384
_SAMPLED_PER_RANGE = 200

_ROWS = pa.schema(
    [*arrow_schema(RECOMMENDATIONS), *(arrow_schema(RECOMMENDATION_UPDATES).field(name) for name in BATCH_VALUES)]
)


def newest_lists(
    files: Sequence[DataFile], *, per_file: int, scratch: Path, per_range: int = LISTS_PER_RANGE,
    rest: Callable[[], None] = lambda: None,
) -> Iterator[pa.Table]:  # fmt: skip
    """Tables of up to `per_file` rows of `recommendations`, in the order of user_id: the newest of each shopper.

    `files`: of `recommendations` and `recommendation_updates`. Lists are first divided by ranges of user_id into
    unnamed files under `scratch`, so that a killed process leaves none. `rest` is called after every piece of work.
    """
    with ExitStack() as open_files:
        bounds = _bounds(files, per_range)
        spilled = [open_files.enter_context(TemporaryFile(dir=scratch)) for _ in range(len(bounds) + 1)]
        _lay_out(files, bounds, spilled, rest)
        pending = _ROWS.empty_table().select(RECOMMENDATIONS.column_names)
        for file in spilled:
            file.seek(0)
            with pa.ipc.open_stream(file) as reader:
                newest = newest_of(reader.read_all())
            file.truncate(0)
            rest()
            pending = pa.concat_tables([pending, newest])
            while pending.num_rows >= per_file:
                yield pending.slice(0, per_file)
                pending = pending.slice(per_file)
        if pending.num_rows:
            yield pending


def newest_of(rows: pa.Table) -> pa.Table:
    """The newest list of each shopper of `rows`, by LATEST_RECOMMENDATIONS, in the order of user_id."""
    if not rows.num_rows:
        return rows.select(RECOMMENDATIONS.column_names)
    rows = rows.combine_chunks()
    keys = rows.select(["user_id", *NEWEST_FIRST]).to_batches()[0]
    newest_first = [("user_id", "ascending"), *((name, "descending") for name in NEWEST_FIRST)]
    order = pc.sort_indices(keys, sort_keys=newest_first)
    users = keys.column("user_id").take(order)
    is_first = np.ones(len(users), dtype=np.bool_)
    is_first[1:] = pc.not_equal(users[1:], users[:-1]).to_numpy(zero_copy_only=False)
    return rows.select(RECOMMENDATIONS.column_names).take(order.filter(pa.array(is_first)))


def _bounds(files: Sequence[DataFile], per_range: int) -> pa.Array:
    """The user_ids at which the next range starts, so that ranges hold about `per_range` rows."""
    rows = sum(file.rows for file in files)
    ranges = min(-(-rows // per_range), _MOST_RANGES)
    if ranges <= 1:
        return pa.array([], pa.string())
    step, seen, sampled = max(1, rows // (ranges * _SAMPLED_PER_RANGE)), 0, []
    for file in files:
        with pq.ParquetFile(file.path, pre_buffer=False) as parquet:
            ids = parquet.read(columns=["user_id"], use_threads=False).column("user_id")
        sampled.append(ids.take(np.arange(-seen % step, len(ids), step)).combine_chunks())
        seen += len(ids)
    ids = pa.concat_arrays(sampled)
    ids = ids.take(pc.sort_indices(ids))
    return pc.unique(ids.take(np.arange(1, ranges) * len(ids) // ranges))


def _lay_out(
    files: Sequence[DataFile], bounds: pa.Array, spilled: Sequence[IO[bytes]], rest: Callable[[], None]
) -> None:
    with ExitStack() as writers:
        streams = [writers.enter_context(pa.ipc.new_stream(pa.PythonFile(file, "w"), _ROWS)) for file in spilled]
        for rows in _read_together(files):
            places = np.zeros(rows.num_rows, dtype=np.int64)
            for bound in bounds:
                places += pc.greater_equal(rows.column("user_id"), bound).to_numpy()
            order = np.argsort(places, kind="stable")
            ends = np.searchsorted(places[order], np.arange(len(streams) + 1))
            sorted_rows = rows.take(order)
            for stream, begin, end in zip(streams, ends[:-1], ends[1:], strict=True):
                if end > begin:
                    stream.write_table(sorted_rows.slice(begin, end - begin))
            rest()


def _read_together(files: Sequence[DataFile]) -> Iterator[pa.Table]:
    """Rows of the files; those of small files are concatenated."""
    waiting: list[pa.Table] = []
    for file in files:
        with pq.ParquetFile(file.path, pre_buffer=False) as parquet:
            columns = [name for name in _ROWS.names if name in parquet.schema_arrow.names]
            for batch in parquet.iter_batches(_LISTS_PER_READ, columns=columns, use_threads=False):
                waiting.append(_shaped(batch, file))
                if sum(rows.num_rows for rows in waiting) >= _LISTS_PER_READ:
                    yield pa.concat_tables(waiting)
                    waiting = []
    if waiting:
        yield pa.concat_tables(waiting)


def _shaped(batch: pa.RecordBatch, file: DataFile) -> pa.Table:
    """The batch with the columns of _ROWS: a missing one has the value of the partition, or of BATCH_VALUES, or is
    null."""
    known = {**BATCH_VALUES, **file.partition}
    columns = [
        batch.column(field.name).cast(field.type)
        if field.name in batch.schema.names
        else pa.repeat(pa.scalar(known.get(field.name), field.type), batch.num_rows)
        for field in _ROWS
    ]
    return pa.table(columns, schema=_ROWS)
