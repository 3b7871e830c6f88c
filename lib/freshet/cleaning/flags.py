"""Flags that need more than one record to be known: outliers and bots. Flagged events stay in the events."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from freshet.cleaning.outliers import Limits, outlier_flags
from freshet.cleaning.parsing import flag_array
from freshet.contracts.shoppers import shopper_id


def flagged(events: DataFrame, *, limits: dict[str, Limits], bot_events_per_day: int) -> DataFrame:
    """`events` with outlier flags and, for shoppers with more events on a UTC day than the limit, `bot`.

    `bot_events_per_day` 0 flags no bots. Columns stay as they are; flags are added after those already there.
    """
    more = outlier_flags(limits)
    if bot_events_per_day == 0:
        return _with_flags(events, more)
    day = F.to_date("event_time")
    busy = (
        events.groupBy(shopper_id().alias("_shopper"), day.alias("_day"))
        .count()
        .where(F.col("count") > bot_events_per_day)
        .select("_shopper", "_day", F.lit(True).alias("_bot"))
    )
    keyed = events.withColumns({"_shopper": shopper_id(), "_day": day})
    # Days with so many events are few, at most all events divided by the limit: they fit every worker.
    joined = keyed.join(F.broadcast(busy), on=["_shopper", "_day"], how="left")
    return _with_flags(joined, [*more, ("bot", F.col("_bot"))]).select(*events.columns)


def _with_flags(events: DataFrame, flags: list[tuple[str, Column]]) -> DataFrame:
    any_new = F.lit(False)
    for _, condition in flags:
        any_new = any_new | F.coalesce(condition, F.lit(False))
    both = F.concat("flags", flag_array(flags))
    return events.withColumn("flags", F.when(any_new, both).otherwise(F.col("flags")))
