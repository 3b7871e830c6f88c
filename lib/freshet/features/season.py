"""Orders of a shopper in the same season of the year before."""

from collections.abc import Sequence
from datetime import datetime

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from freshet.features.basis import counted_events, days_before, sorted_cuts

SEASON_COLUMN = "log_season_orders"
"""The column that `with_season` adds for the propensity model."""

_YEAR_DAYS = 365


def season_orders(events: DataFrame, cuts: Sequence[datetime], *, horizon_days: int, target: str) -> DataFrame:
    """(as_of, user_id, season_orders long): distinct `target` orders in the same horizon a year before the cut.

    Counts orders known before the cut with event_time in [cut - 365 days, cut - 365 days + horizon_days).
    Shoppers without one have no row. Lines flagged non_product and events without shopper are left out.
    """
    rising = sorted_cuts(cuts)
    as_of = F.col("as_of")
    start = days_before(as_of, _YEAR_DAYS)
    end = days_before(as_of, _YEAR_DAYS - horizon_days)
    orders = (
        counted_events(events)
        .where((F.col("event_name") == target) & F.col("user_id").isNotNull())
        .groupBy("user_id", "order_id")
        .agg(F.max("event_time").alias("event_time"), F.max("known_at").alias("known_at"))
    )
    return (
        orders.withColumn("as_of", F.explode(F.array(*[F.lit(cut) for cut in rising])))
        .where((F.col("event_time") >= start) & (F.col("event_time") < end) & (F.col("known_at") < as_of))
        .groupBy("as_of", "user_id")
        .agg(F.count(F.lit(1)).alias("season_orders"))
        .select("as_of", "user_id", "season_orders")
    )


def with_season(features: DataFrame, season: DataFrame) -> DataFrame:
    """`features` (as_of, user_id, ...) with SEASON_COLUMN: log(1 + season_orders), 0 for shoppers not in `season`.

    `season` as from `season_orders`. No row is lost or added.
    """
    joined = features.join(season, on=["as_of", "user_id"], how="left")
    orders = F.coalesce(F.col("season_orders"), F.lit(0))
    return joined.withColumn(SEASON_COLUMN, F.log1p(orders.cast("double"))).drop("season_orders")
