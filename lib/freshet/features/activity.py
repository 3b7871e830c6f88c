"""How active shoppers are, whatever kind of events a source has."""

from datetime import datetime

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from freshet.features.basis import counted_events, days_between


def activity(events: DataFrame, *, as_of: datetime) -> DataFrame:
    """(as_of, user_id, silence_days double, events long): days since a shopper's newest event, and how many events.

    Only what was known before `as_of` counts. Lines flagged non_product and events without shopper are left out.
    """
    moment = F.lit(as_of)
    return (
        counted_events(events)
        .where((F.col("known_at") < moment) & F.col("user_id").isNotNull())
        .groupBy("user_id")
        .agg(F.max("event_time").alias("newest"), F.count(F.lit(1)).alias("events"))
        .select(moment.alias("as_of"), "user_id", days_between(F.col("newest"), moment).alias("silence_days"), "events")
    )
