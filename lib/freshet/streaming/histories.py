"""Shoppers' histories as the state of a stream: one native aggregation, bounded per shopper, no Python in it."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import BooleanType, DoubleType, StringType, StructField, StructType, TimestampType

from freshet.contracts.identity import anonymous_shopper, is_login
from freshet.contracts.shoppers import HISTORY, counts_as_taste, history_entry, newest_history, shopper_id

LOGIN, JOINED = "login", "joined"
"""Marks among the events of an anonymous id: it is known who it is; what came before has joined the customer's."""

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


def stream_events(events: DataFrame, *, live: Column, joined: bool = False) -> DataFrame:
    """The STREAM_EVENT columns of the events that belong in a history, by contracts.shoppers.counts_as_taste, and for
    each login a mark under its anonymous id.

    A mark has LOGIN for its event_name and the customer for its transaction_id. With `joined`, the sessions before
    these logins are among `events` as the customers' already, and marks have JOINED.
    """
    taste = {
        "user_id": shopper_id(), "event_time": F.col("event_time"), "received_time": F.col("received_time"),
        "event_id": F.col("event_id"), "item_id": F.col("item_id"), "event_name": F.col("event_name"),
        "transaction_id": F.col("transaction_id"), "quantity": F.col("quantity"), "live": live,
    }  # fmt: skip
    mark = taste | {
        "user_id": anonymous_shopper(), "item_id": F.lit(None).cast("string"),
        "event_name": F.lit(JOINED if joined else LOGIN), "transaction_id": F.col("user_id"),
        "quantity": F.lit(None).cast("double"),
    }  # fmt: skip
    both = [F.when(condition, _struct(row)) for condition, row in ((counts_as_taste(), taste), (is_login(), mark))]
    # One pass: a union would read a topic twice.
    rows = events.select(F.inline(F.filter(F.array(*both), lambda row: row.isNotNull())))
    return rows.select(*STREAM_EVENT.fieldNames())


def _struct(columns: dict[str, Column]) -> Column:
    return F.struct(*[columns[name].alias(name) for name in STREAM_EVENT.fieldNames()])


def arrival() -> Column:
    """When an event was there to be used: not before it happened, nor before the shop knew of it."""
    return F.greatest("event_time", "received_time")


def touched_histories(events: DataFrame, *, max_events: int) -> DataFrame:
    """(user_id, history, newest_event_time, newest_received_time, live, login, joins) per shopper of a STREAM_EVENT
    frame.

    `history` is array<HISTORY_ENTRY>: the newest `max_events`, newest first, whenever they arrived. On a stream in
    update mode a micro-batch holds the shoppers it touched, each with the whole history. Events must be free of
    repeats: a repeated one would stand twice in a history and push an older one out. `live`: a list is due; none is
    while the newest thing known of an anonymous id is who it is. `login` (event_time, event_id, customer) is an
    anonymous id's newest one, `joins` the entries until then that have not joined the customer's history.
    """
    state = events.withColumn("_is_mark", F.col("event_name").isin(LOGIN, JOINED)).withColumn(
        "_entry", F.when(~F.col("_is_mark"), history_entry())
    )
    # One login is kept: two customers in one micro-batch on one device are told apart by the batch only.
    moment = F.struct("event_time", "event_id", F.col("transaction_id").alias("customer"))
    kept = state.groupBy("user_id").agg(
        F.coalesce(newest_history(F.col("_entry"), max_events), F.array().cast(HISTORY)).alias("history"),
        F.max("event_time").alias("newest_event_time"),
        F.max("received_time").alias("newest_received_time"),
        F.bool_or("live").alias("_live"),
        F.max(F.when(F.col("event_name") == LOGIN, moment)).alias("login"),
        F.max(F.when(F.col("event_name") == JOINED, moment)).alias("_joined"),
    )
    # Null fields come before all others: without a mark nobody is logged in, without an entry everybody is.
    newest, until = F.get("history", F.lit(0)), F.greatest("login", "_joined")
    is_logged_in = _place(until) >= _place(newest)
    is_newer = F.coalesce(F.col("login") > F.col("_joined"), F.col("login").isNotNull())
    return kept.select(
        "user_id", "history", "newest_event_time", "newest_received_time",
        (F.col("_live") & ~is_logged_in).alias("live"), "login",
        F.when(is_newer, _between(F.col("_joined"), F.col("login"))).alias("joins"),
    )  # fmt: skip


def _between(after: Column, until: Column) -> Column:
    """The entries of the history behind the mark `after` (null: all) and up to the mark `until`."""
    return F.filter("history", lambda one: (_place(one) > _place(after)) & (_place(one) <= _place(until)))


def _place(one: Column) -> Column:
    return F.struct(one["event_time"].alias("event_time"), one["event_id"].alias("event_id"))
