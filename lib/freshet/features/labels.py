"""Labels of the propensity model: what shoppers did after a date."""

from collections.abc import Sequence
from datetime import datetime

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from freshet.features.basis import actions, cut_of, first_cut_after, sorted_cuts


def labels(events: DataFrame, *, cuts: Sequence[datetime], horizon_days: int, target: str) -> DataFrame:
    """(as_of timestamp, user_id string, label int): 1 where the shopper has a `target` event soon after the cut.

    Soon means in [as_of, as_of + horizon_days), by event time, however late the event was received. There is a row
    for every shopper with an event known before the cut, as in features.users; newcomers have none. Lines flagged
    non_product, events flagged bot and impressions (contracts.events) do not count. The caller makes sure that the
    data reach to the end of every horizon.
    """
    rising = sorted_cuts(cuts)
    counted = actions(events).where(F.col("user_id").isNotNull())
    shoppers = (
        counted.groupBy("user_id")
        .agg(F.min("known_at").alias("known_at"))
        .select("user_id", F.explode(F.array(*[F.lit(cut) for cut in rising])).alias("as_of"), "known_at")
        .where(F.col("known_at") < F.col("as_of"))
    )
    # The cuts whose horizon contains a target event: from the first one whose horizon has not ended at the event, up
    # to the last one that is not after it.
    horizon = F.make_dt_interval(days=F.lit(horizon_days))
    first_open = first_cut_after(F.col("event_time") - horizon, rising)
    last_begun = first_cut_after(F.col("event_time"), rising) - 1
    active = (
        counted.where((F.col("event_name") == target) & (first_open <= last_begun))
        .select("user_id", F.explode(F.sequence(first_open, last_begun)).alias("cut"))
        .select("user_id", cut_of(F.col("cut"), rising).alias("as_of"), F.lit(1).alias("label"))
        .distinct()
    )
    joined = shoppers.join(active, on=["user_id", "as_of"], how="left")
    return joined.select("as_of", "user_id", F.coalesce(F.col("label"), F.lit(0)).alias("label"))
