"""Flags that need more than one record to be known: outliers and bots. Flagged events stay in the events."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from freshet.cleaning.outliers import Limits, outlier_flags
from freshet.cleaning.parsing import flag_array
from freshet.contracts.shoppers import shopper_id


def busy_days(events: DataFrame, *, more_than: int) -> DataFrame:
    """(shopper, day) of shoppers with more than so many `events` on a UTC day. Those without shopper are none's."""
    counted = events.groupBy(shopper_id().alias("shopper"), F.to_date("event_time").alias("day")).count()
    return counted.where((F.col("count") > more_than) & F.col("shopper").isNotNull()).select("shopper", "day")


def flagged(events: DataFrame, *, limits: dict[str, Limits], busy: DataFrame | None) -> DataFrame:
    """`events` with outlier flags and, on `busy_days`, `bot`; `busy` None: there are none.

    Columns stay as they are; flags are added after those already there.
    """
    more = outlier_flags(limits)
    if busy is None:
        return _with_flags(events, more)
    days = busy.select(F.col("shopper").alias("_shopper"), F.col("day").alias("_day"), F.lit(True).alias("_bot"))
    keyed = events.withColumns({"_shopper": shopper_id(), "_day": F.to_date("event_time")})
    # Days with so many events are few, at most all events divided by the limit: they fit every worker.
    joined = keyed.join(F.broadcast(days), on=["_shopper", "_day"], how="left")
    return _with_flags(joined, [*more, ("bot", F.col("_bot"))]).select(*events.columns)


def _with_flags(events: DataFrame, flags: list[tuple[str, Column]]) -> DataFrame:
    any_new = F.lit(False)
    for _, condition in flags:
        any_new = any_new | F.coalesce(condition, F.lit(False))
    both = F.concat("flags", flag_array(flags))
    return events.withColumn("flags", F.when(any_new, both).otherwise(F.col("flags")))
