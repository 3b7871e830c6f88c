"""The key of a shopper and the form of a history, as expressions shared by batch and stream."""

import operator
from functools import reduce

from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, LongType, StringType, StructField, StructType, TimestampType

from freshet.contracts.events import LEFT_OUT_FLAGS

ANONYMOUS_PREFIX = "anon:"
"""Prefix of an anonymous id in the `user_id` of list tables. Ids of customers with this prefix are refused."""

HISTORY_ENTRY = StructType(
    [
        StructField("event_time", TimestampType()),
        StructField("entry_key", LongType()),
        StructField("item_id", StringType()),
        StructField("event_name", StringType()),
        StructField("order_id", StringType()),
    ]
)
"""One event of a shopper. It holds what happened and no computed weight: weights belong to the model."""

HISTORY = ArrayType(HISTORY_ENTRY)


def shopper_id() -> Column:
    """The `user_id` of list tables: the customer's id, else the marked anonymous id; null if there is neither."""
    return F.coalesce(F.col("user_id"), F.concat(F.lit(ANONYMOUS_PREFIX), F.col("anonymous_id")))


def entry_key() -> Column:
    """A hash of the event and its item line: distinguishes the entries of a history, and orders those of equal time.

    A collision between two of a shopper's thousands of entries, among 2^64 values, is practically impossible.
    """
    return F.xxhash64("event_id", "item_position")


def order_id() -> Column:
    """The unit that counts once per shopper, item and event name: the transaction, else the event itself."""
    return F.coalesce(F.col("transaction_id"), F.col("event_id"))


def counts_as_taste() -> Column:
    """True for events with a shopper and a product, which histories consist of, in batch and stream.

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

    Native and bounded. Duplicates must be removed before; null entries do not count.
    """
    order = F.struct(entry["event_time"], entry["entry_key"])
    return F.max_by(entry, F.when(entry.isNotNull(), order), max_events)
