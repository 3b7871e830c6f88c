"""How the batch writes `recommendations`, clustered as a compaction of the stream's lists leaves it."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark import StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from freshet.contracts import RECOMMENDATIONS
from freshet.recommendation.history_block import with_entry_columns
from freshet.storage.data_files import NotPlainError
from freshet.storage.small_writes import arrow_schema
from freshet.storage.snapshot import may_hold
from freshet.storage.sql import literal
from freshet.storage.tables import Warehouse
from freshet.storage.worker_writes import Work, replace_by_workers

LISTS_PER_FILE = 20_000
"""About 6 MB with lists of 20 items: what a look for one shopper opens. A million shoppers are 50 files."""

_STREAMED = "streamed"
"""Column of shoppers whose list is the stream's: that list, a row of `recommendations`; null for all others."""


def write_lists(
    warehouse: Warehouse, shoppers: DataFrame, listing: Work, facts: dict[str, Any], *, per_file: int = LISTS_PER_FILE
) -> int:
    """Replaces `recommendations` in one commit and returns the number of lists.

    `shoppers`: (user_id, history, streamed) as `with_newer_stream_lists` gives them; `listing` makes (user_id, items,
    ...) of (user_id, history) in the workers, given as by `with_entry_columns`, and `facts` are the other columns of
    those lists. Each file holds a range of user_id, so that a reader who looks for one shopper opens one file. The
    caller holds the table's lease, from before it read what `shoppers` are made of.
    """
    work, shoppers = _batch_rows(listing, facts), with_entry_columns(shoppers)
    try:
        return replace_by_workers(warehouse, shoppers, work, RECOMMENDATIONS, by="user_id", per_file=per_file)
    except NotPlainError:
        # Somebody has changed the table's features.
        return write_lists_by_spark(warehouse, shoppers.mapInArrow(work, RECOMMENDATIONS.schema), per_file=per_file)


def write_lists_by_spark(warehouse: Warehouse, lists: DataFrame, *, per_file: int = LISTS_PER_FILE) -> int:
    """`write_lists` of rows of `recommendations`, for a table that asks more of a writer than files."""
    # Ranges are found by a look at all rows before they are written: what is computed must not be computed twice.
    kept = lists.persist(StorageLevel.DISK_ONLY)
    try:
        count = kept.count()
        files = max(1, -(-count // per_file))
        clustered = kept.repartitionByRange(files, "user_id").sortWithinPartitions("user_id")
        warehouse.replace(clustered, RECOMMENDATIONS)
    finally:
        kept.unpersist()
    return count


def with_newer_stream_lists(
    warehouse: Warehouse, shoppers: DataFrame, *, generation: int, clock: datetime
) -> DataFrame:
    """(user_id, history, streamed): a batch's shoppers, and `streamed` instead of a history for those whose list in
    `recommendations` is the stream's and newer than the batch.

    A compaction has put those there and dropped where they came from: written over, they would be lost. Lists of an
    older generation and from before the batch's `clock` are not newer, and those shoppers get the batch's or none.
    """
    moment = literal(f"{clock:%Y-%m-%dT%H:%M:%S.%fZ}")
    is_newer = f"source = 'stream' AND generation >= {generation} AND event_clock >= {moment}"
    # Mostly there are none, which costs less to find out than a join with nothing.
    if not may_hold(warehouse.folder, RECOMMENDATIONS, is_newer):
        return shoppers.withColumn(_STREAMED, F.lit(None).cast(RECOMMENDATIONS.schema))
    newer = warehouse.read(RECOMMENDATIONS).where(is_newer)
    newer = newer.select("user_id", F.struct(*RECOMMENDATIONS.column_names).alias(_STREAMED))
    others = shoppers.join(newer.select("user_id"), on="user_id", how="left_anti")
    return others.unionByName(newer, allowMissingColumns=True)


def _batch_rows(listing: Work, facts: dict[str, Any]) -> Work:
    """Rows of `recommendations` from rows of `with_newer_stream_lists`."""
    schema = arrow_schema(RECOMMENDATIONS)

    def rows(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            streamed = batch.column(_STREAMED)
            theirs, ours = pc.is_valid(streamed), batch.drop_columns([_STREAMED])
            if streamed.null_count < len(streamed):
                ours = ours.filter(pc.invert(theirs))
            for lists in listing(iter([ours])):
                known = {
                    name: pa.repeat(pa.scalar(value, schema.field(name).type), lists.num_rows)
                    for name, value in facts.items()
                }
                known |= {name: lists.column(name) for name in ("user_id", "items")}
                yield pa.RecordBatch.from_arrays([known[name] for name in schema.names], schema.names)
            if streamed.null_count < len(streamed):
                yield pa.RecordBatch.from_struct_array(streamed.filter(theirs))

    return rows
