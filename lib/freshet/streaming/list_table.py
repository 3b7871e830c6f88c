"""How the batch writes `recommendations`, clustered as a compaction of the stream's lists leaves it."""

from datetime import datetime

from pyspark import StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from freshet.contracts import RECOMMENDATIONS
from freshet.storage.tables import Warehouse

LISTS_PER_FILE = 20_000
"""About 6 MB with lists of 20 items: what a look for one shopper opens. A million shoppers are 50 files."""


def write_lists(warehouse: Warehouse, lists: DataFrame, *, per_file: int = LISTS_PER_FILE) -> int:
    """Replaces `recommendations` in one commit, clustered by shopper, and returns the number of lists.

    Each file holds a range of user_id, so that a reader who looks for one shopper opens one file. The caller holds the
    table's lease, from before it read what `lists` are made of.
    """
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


def with_newer_stream_lists(warehouse: Warehouse, lists: DataFrame, *, generation: int, clock: datetime) -> DataFrame:
    """A batch's lists, but for shoppers whose list in `recommendations` is the stream's and newer than the batch.

    A compaction has put those there and dropped where they came from: written over, they would be lost. Lists of an
    older generation and from before the batch's `clock` are not newer, and those shoppers get the batch's or none.
    """
    if not warehouse.exists(RECOMMENDATIONS):
        return lists
    is_newer = (F.col("generation") >= generation) & (F.col("event_clock") >= F.lit(clock))
    newer = warehouse.read(RECOMMENDATIONS).where((F.col("source") == "stream") & is_newer)
    return lists.join(newer.select("user_id"), on="user_id", how="left_anti").unionByName(newer)
