"""Shoppers' histories as the state of a stream: one native aggregation, bounded per shopper, no Python in it."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import BooleanType, DoubleType, StringType, StructField, StructType, TimestampType

from freshet.contracts.shoppers import counts_as_taste, history_entry, newest_history, shopper_id

STREAM_EVENT = StructType(
    [
        StructField("user_id", StringType()),
        StructField("event_time", TimestampType()),
        StructField("received_time", TimestampType()),
        StructField("event_id", StringType()),
        StructField("item_id", StringType()),
        StructField("event_name", StringType()),
        StructField("transaction_id", StringType()),
        StructField("quantity", DoubleType()),
        StructField("live", BooleanType()),
    ]
)
"""What a history needs of an event; user_id is contracts.shoppers.shopper_id(). A live event brings about a new list,
others only a history to make it from."""


def stream_events(events: DataFrame, *, live: Column) -> DataFrame:
    """The STREAM_EVENT columns of the events that belong in a history, by contracts.shoppers.counts_as_taste."""
    taste = events.where(counts_as_taste()).withColumns({"user_id": shopper_id(), "live": live})
    return taste.select(*STREAM_EVENT.fieldNames())


def arrival() -> Column:
    """When an event was there to be used: not before it happened, nor before the shop knew of it."""
    return F.greatest("event_time", "received_time")


def touched_histories(events: DataFrame, *, max_events: int) -> DataFrame:
    """(user_id, history, newest_event_time, newest_received_time, live) per shopper of a STREAM_EVENT frame.

    `history` is array<HISTORY_ENTRY>: the newest `max_events`, newest first, whenever they arrived. On a stream in
    update mode a micro-batch holds the shoppers it touched, each with the whole history. Events must be free of
    repeats: a repeated one would stand twice in a history and push an older one out. `live`: a list is due.
    """
    return events.groupBy("user_id").agg(
        newest_history(history_entry(), max_events).alias("history"),
        F.max("event_time").alias("newest_event_time"),
        F.max("received_time").alias("newest_received_time"),
        F.bool_or("live").alias("live"),
    )
