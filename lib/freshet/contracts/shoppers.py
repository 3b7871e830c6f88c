"""Who a shopper is, and what a shopper's history looks like, as expressions shared by batch and stream."""

import operator
from functools import reduce

from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, LongType, StringType, StructField, StructType, TimestampType

from freshet.contracts.events import LEFT_OUT_FLAGS

ANONYMOUS_PREFIX = "anon:"
"""Before an anonymous id in the `user_id` of list tables. Ids of known customers that begin so are refused."""

HISTORY_ENTRY = StructType(
    [
        StructField("event_time", TimestampType()),
        StructField("entry_key", LongType()),
        StructField("item_id", StringType()),
        StructField("event_name", StringType()),
        StructField("order_id", StringType()),
    ]
)
"""One thing a shopper did. What happened, never a finished weight: weights belong to the model."""

HISTORY = ArrayType(HISTORY_ENTRY)


def shopper_id() -> Column:
    """The `user_id` of list tables: the known customer, else the marked anonymous id; null when neither is known."""
    return F.coalesce(F.col("user_id"), F.concat(F.lit(ANONYMOUS_PREFIX), F.col("anonymous_id")))


def entry_key() -> Column:
    """A hash of the event and its item line: distinguishes the entries of a history, and orders those of one moment.

    Two of a shopper's thousands of entries share one of its 2^64 values about never.
    """
    return F.xxhash64("event_id", "item_position")


def order_id() -> Column:
    """What counts once per shopper, item and event name: the transaction, else the event itself."""
    return F.coalesce(F.col("transaction_id"), F.col("event_id"))


def counts_as_taste() -> Column:
    """True for events of a known shopper with a product: what histories are made of, in batch and stream alike.

    Never null. Lines flagged non_product (postage, fees, tests), events flagged bot and events without shopper or item
    do not count.
    """
    return F.col("item_id").isNotNull() & ~is_left_out() & shopper_id().isNotNull()


def is_left_out() -> Column:
    """True for events with a flag of contracts.events.LEFT_OUT_FLAGS. Never null."""
    return reduce(operator.or_, [F.array_contains("flags", flag) for flag in LEFT_OUT_FLAGS])


def history_entry() -> Column:
    """One event as a history entry. event_time leads and entry_key follows, so that entries have a total order."""
    return F.struct(
        F.col("event_time"),
        entry_key().alias("entry_key"),
        F.col("item_id"),
        F.col("event_name"),
        order_id().alias("order_id"),
    )


def newest_history(entry: Column, max_events: int) -> Column:
    """Aggregate: the newest `max_events` entries of a group, newest first, ties by entry_key.

    Native and bounded. Duplicates must be gone before it; null entries do not count.
    """
    place = F.struct(entry["event_time"], entry["entry_key"])
    return F.max_by(entry, F.when(entry.isNotNull(), place), max_events)
