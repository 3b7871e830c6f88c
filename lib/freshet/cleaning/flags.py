"""Flags that depend on more than one record: outliers and bots. Flagged events stay in the events."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from freshet.cleaning.outliers import Limits, outlier_flags
from freshet.cleaning.parsing import flag_array
from freshet.contracts.shoppers import shopper_id


def busy_days(events: DataFrame, *, more_than: int) -> DataFrame:
    """(shopper, day) of shoppers with more than this many `events` on a UTC day. Events without shopper are ignored."""
    counted = events.groupBy(shopper_id().alias("shopper"), F.to_date("event_time").alias("day")).count()
    return counted.where((F.col("count") > more_than) & F.col("shopper").isNotNull()).select("shopper", "day")


def flagged(events: DataFrame, *, limits: dict[str, Limits], busy: DataFrame | None) -> DataFrame:
    """`events` with outlier flags and, on `busy_days`, the flag `bot`. `busy` None means that there are no such days.

    Columns are unchanged; new flags are appended to the existing ones.
    """
    more = outlier_flags(limits)
    if busy is None:
        return _with_flags(events, more)
    days = busy.select(F.col("shopper").alias("_shopper"), F.col("day").alias("_day"), F.lit(True).alias("_bot"))
    keyed = events.withColumns({"_shopper": shopper_id(), "_day": F.to_date("event_time")})
    # Days with so many events are few (at most the number of events divided by the limit), so they can be broadcast.
    joined = keyed.join(F.broadcast(days), on=["_shopper", "_day"], how="left")
    return _with_flags(joined, [*more, ("bot", F.col("_bot"))]).select(*events.columns)


def _with_flags(events: DataFrame, flags: list[tuple[str, Column]]) -> DataFrame:
    any_new = F.lit(False)
    for _, condition in flags:
        any_new = any_new | F.coalesce(condition, F.lit(False))
    both = F.concat("flags", flag_array(flags))
    return events.withColumn("flags", F.when(any_new, both).otherwise(F.col("flags")))
