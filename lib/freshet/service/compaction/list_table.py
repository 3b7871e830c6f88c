"""How the batch writes `recommendations`, clustered in the same way as by a compaction."""

from collections.abc import Iterator
from datetime import datetime
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark import StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from freshet.contracts import RECOMMENDATIONS
from freshet.ranking.histories.entry_columns import (
    STORED,
    STORED_TEXTS,
    entry_columns,
    listed_since,
    with_entry_columns,
)
from freshet.ranking.lists.list_ids import recommendation_ids
from freshet.tables.format.arrow_rows import arrow_schema
from freshet.tables.format.data_files import NotPlainError
from freshet.tables.format.kept_rows import KeptRows, Work
from freshet.tables.format.sql import literal
from freshet.tables.lookups.snapshot import may_hold
from freshet.tables.warehouse import Warehouse
from freshet.tables.writers.worker_files import WorkerRows, WorkerWriter

LISTS_PER_FILE = 20_000
"""About 6 MB with lists of 20 items: what a query for one shopper reads. A million shoppers are 50 files."""

_STREAMED = "streamed"
"""Column with the list of the stream, a row of `recommendations`, where it is kept; null for all other shoppers."""


def write_lists(
    warehouse: Warehouse, histories: KeptRows, listing: Work, facts: dict[str, Any], *, newer: DataFrame | None,
    active_since: datetime | None = None, per_file: int = LISTS_PER_FILE,
) -> int:  # fmt: skip
    """Replaces `recommendations` in one commit and returns the number of lists.

    `histories`: (user_id, history); `listing` turns them, with entry columns, into (user_id, items, ...) in the
    workers, and `facts` are the other columns of those lists. Anonymous shoppers get a list if they were active since
    `active_since`. `newer`, as `newer_stream_lists` returns it, replaces the lists of its shoppers. Each file holds a
    range of user_id, so that a query for one shopper opens one file. The caller holds the table's lease, from before it
    read the data that lists are made of."""
    work = listed = _batch_rows(listing, facts, active_since)
    if newer is None:
        given, read = histories.in_workers(("user_id", *STORED), coded=STORED_TEXTS)
        values = histories.frame
        work = partial(_of_files, read, listed)
    else:
        given = values = with_entry_columns(_with_newer(histories.frame, newer))
    try:
        rows = WorkerRows(given, work, values, by="user_id", per_file=per_file)
        return WorkerWriter(warehouse.folder).replace(rows, contract=RECOMMENDATIONS)
    except NotPlainError:
        # The features of the table were changed.
        lists = given.mapInArrow(partial(_in_full, work), RECOMMENDATIONS.schema)
        return write_lists_by_spark(warehouse, lists, per_file=per_file)


def _of_files(read: Work, listed: Work, parts: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    return listed(entry_columns(batch) for batch in read(parts))


def _in_full(work: Work, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """With texts instead of codes, which Spark does not read."""
    schema = arrow_schema(RECOMMENDATIONS)
    return (batch.cast(schema) for batch in work(batches))


def write_lists_by_spark(warehouse: Warehouse, lists: DataFrame, *, per_file: int = LISTS_PER_FILE) -> int:
    """`write_lists` of rows of `recommendations`, for a table with features beyond plain files."""
    # Spark reads all rows to find the ranges before it writes them: they must not be computed twice.
    kept = lists.persist(StorageLevel.DISK_ONLY)
    try:
        count = kept.count()
        files = max(1, -(-count // per_file))
        clustered = kept.repartitionByRange(files, "user_id").sortWithinPartitions("user_id")
        warehouse.replace(clustered, RECOMMENDATIONS)
    finally:
        kept.unpersist()
    return count


def newer_stream_lists(warehouse: Warehouse, *, generation: int, clock: datetime) -> DataFrame | None:
    """(user_id, streamed): shoppers whose list in `recommendations`, `streamed`, is the stream's and newer than a
    batch; None where there are none.

    A compaction has merged those lists and dropped their updates: if they were overwritten, they would be lost. Lists
    of an older generation and from before the batch's `clock` are not newer, so those shoppers get the batch's list or
    none."""
    moment = literal(f"{clock:%Y-%m-%dT%H:%M:%S.%fZ}")
    is_newer = f"source = 'stream' AND generation >= {generation} AND event_clock >= {moment}"
    # Usually there are none, and finding that out costs less than a join with an empty frame.
    if not may_hold(warehouse.folder, RECOMMENDATIONS, is_newer):
        return None
    newer = warehouse.read(RECOMMENDATIONS).where(is_newer)
    return newer.select("user_id", F.struct(*RECOMMENDATIONS.column_names).alias(_STREAMED))


def _with_newer(histories: DataFrame, newer: DataFrame) -> DataFrame:
    """(user_id, history, streamed): `streamed` instead of a history for those who have one."""
    others = histories.join(newer.select("user_id"), on="user_id", how="left_anti")
    return others.unionByName(newer, allowMissingColumns=True)


def _batch_rows(listing: Work, facts: dict[str, Any], active_since: datetime | None) -> Work:
    """Rows of `recommendations` from rows (user_id, entry columns), and from those with a list `streamed`."""
    schema = arrow_schema(RECOMMENDATIONS)

    def rows(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            ours = batch
            if _STREAMED in batch.schema.names:
                streamed = batch.column(_STREAMED)
                theirs = pc.is_valid(streamed)
                ours = batch.drop_columns([_STREAMED]).filter(pc.invert(theirs))
                yield pa.RecordBatch.from_struct_array(streamed.filter(theirs))
            if active_since is not None:
                ours = listed_since(ours, active_since)
            for lists in listing(iter([ours])):
                known = {
                    name: pa.repeat(pa.scalar(value, schema.field(name).type), lists.num_rows)
                    for name, value in facts.items()
                }
                known |= {name: lists.column(name) for name in ("user_id", "items", "propensities", "placements")}
                known["recommendation_id"] = recommendation_ids(facts["model_version"], lists.column("list_key"))
                yield pa.RecordBatch.from_arrays([known[name] for name in schema.names], schema.names)

    return rows
