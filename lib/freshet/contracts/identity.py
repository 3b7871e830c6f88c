"""Assigns anonymous sessions to the histories of customers, by one rule for batch and stream.

A login is an event with both a user_id and an anonymous_id. Events under an anonymous id without a user_id join the
history of the customer who logs in next under that id, or at the same time, however late; if two log in at the same
time, that of the one whose id comes first. They also stay in the history of the anonymous id.
"""

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from freshet.contracts.shoppers import ANONYMOUS_PREFIX


def is_login() -> Column:
    """True for events that identify an anonymous id. Never null."""
    return F.col("user_id").isNotNull() & F.col("anonymous_id").isNotNull()


def anonymous_shopper() -> Column:
    """The `user_id` of list tables for the anonymous id."""
    return F.concat(F.lit(ANONYMOUS_PREFIX), F.col("anonymous_id"))


def joined_sessions(events: DataFrame) -> DataFrame:
    """The EVENTS rows without user_id that join a customer's history, as the customer's.

    They become known no earlier than the login. Uses all `events` that are passed: the caller cuts them at a date.
    """
    known = events.where("anonymous_id is not null")
    # Most sources have no logins: only ids that have one are sorted.
    logins = known.where(is_login()).select("anonymous_id").distinct()
    onwards = Window.partitionBy("anonymous_id").orderBy("event_time", is_login(), "user_id")
    onwards = onwards.rowsBetween(Window.currentRow, Window.unboundedFollowing)
    login = F.when(is_login(), F.struct("user_id", "received_time"))
    return (
        known.join(logins, on="anonymous_id", how="left_semi")
        .withColumn("_login", F.first(login, ignorenulls=True).over(onwards))
        .where("user_id is null and _login is not null")
        .withColumn("user_id", F.col("_login.user_id"))
        .withColumn("received_time", F.greatest("received_time", "_login.received_time"))
        .select(*events.columns)
    )


def with_joined_sessions(events: DataFrame) -> DataFrame:
    """`events` and, as additional rows, their `joined_sessions`."""
    return events.unionByName(joined_sessions(events))
