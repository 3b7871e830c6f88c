"""The columns of events that a stream of lists needs: entries of histories, and logins."""

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import LongType, StringType, StructField, StructType, TimestampType

from freshet.contracts.identity import anonymous_shopper, is_login
from freshet.contracts.shoppers import counts_as_taste, entry_key, order_id, shopper_id

STREAM_EVENT = StructType(
    [
        StructField("user_id", StringType()),
        StructField("session", StringType()),
        StructField("event_time", TimestampType()),
        StructField("received_time", TimestampType()),
        StructField("entry_key", LongType()),
        StructField("order_key", LongType()),
        StructField("item_id", StringType()),
        StructField("event_name", StringType()),
    ]
)
"""user_id is contracts.shoppers.shopper_id(), session the anonymous shopper who is that customer, null if the event is
no login. item_id is null for a login that is no entry of a history; order_key is a hash of
contracts.shoppers.order_id."""


def stream_events(events: DataFrame, event_names: Sequence[str]) -> DataFrame:
    """The STREAM_EVENT columns of the events that belong in a history, and of all logins.

    Events with one of `event_names` belong in a history, by contracts.shoppers.counts_as_taste, as in
    features.interactions.histories."""
    is_entry = counts_as_taste() & F.col("event_name").isin(*event_names)
    return events.where(is_entry | is_login()).select(
        shopper_id().alias("user_id"),
        F.when(is_login(), anonymous_shopper()).alias("session"),
        "event_time",
        "received_time",
        entry_key().alias("entry_key"),
        F.xxhash64(order_id()).alias("order_key"),
        F.when(is_entry, F.col("item_id")).alias("item_id"),
        "event_name",
    )


def arrival() -> Column:
    """When an event could be used: not before it happened, nor before it was received."""
    return F.greatest("event_time", "received_time")
