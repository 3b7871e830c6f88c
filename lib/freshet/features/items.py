"""What is known of each item as of a date."""

from datetime import datetime

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from freshet.contracts import ITEM_FEATURES
from freshet.features.basis import PURCHASE, REFUND, counted_events, days_before

POPULARITY_WINDOWS_DAYS = (7, 14, 30, 90, 365)
TREND_DAYS, TREND_BASE_DAYS = 14, 76
"""A trend compares the newest days with the days before them."""

PRICE_DAYS = 90
PRICE_ACCURACY = 1000
"""Of percentile_approx: the median's place among the prices is off by at most a share of 1 / 1000."""


def item_features(events: DataFrame, *, as_of: datetime, target: str) -> DataFrame:
    """Contract ITEM_FEATURES: a row per item with an event that was known before `as_of`.

    `target` is the GA4 name of the events that make an item popular. Windows of d days reach from 24 * d hours
    before `as_of` (inclusive) to `as_of` (exclusive). Price is the median over target events with a price above 0
    in the 90 days up to the item's newest such event. Return rate is by distinct orders. Lines flagged non_product
    are left out; events without shopper count for price, returns and first_seen only.
    """
    known = counted_events(events).where((F.col("known_at") < F.lit(as_of)) & F.col("item_id").isNotNull())
    is_target = F.col("event_name") == target
    before_trend = F.col("event_time") < days_before(F.lit(as_of), TREND_DAYS)
    orders = known.groupBy("item_id", "user_id", "event_name", "order_id").agg(
        F.min("event_time").alias("first_time"),
        F.max("event_time").alias("last_time"),
        F.max(F.when(before_trend, F.col("event_time"))).alias("last_time_before"),
    )
    shoppers = orders.groupBy("item_id", "user_id").agg(
        F.min("first_time").alias("first_seen"),
        F.max(F.when(is_target, F.col("last_time"))).alias("last_seen"),
        F.max(F.when(is_target, F.col("last_time_before"))).alias("last_before"),
        F.count_if(is_target).alias("target_orders"),
        F.count_if(F.col("event_name") == PURCHASE).alias("orders"),
        F.count_if(F.col("event_name") == REFUND).alias("refunds"),
    )
    counted = shoppers.groupBy("item_id").agg(
        *[_shoppers_since("last_seen", as_of, days).alias(f"shoppers_{days}d") for days in POPULARITY_WINDOWS_DAYS],
        _shoppers_since("last_before", as_of, TREND_DAYS + TREND_BASE_DAYS).alias("shoppers_before"),
        F.count_if(_has_target()).alias("shoppers"),
        F.count_if(_has_target() & (F.col("target_orders") > 1)).alias("repeaters"),
        F.sum("orders").alias("orders"),
        F.sum("refunds").alias("refunds"),
        F.min("first_seen").alias("first_seen"),
        F.max("last_seen").alias("last_seen"),
    )
    trades = F.col("orders") + F.col("refunds")
    scaled = F.col(f"shoppers_{TREND_DAYS}d") * (TREND_BASE_DAYS / TREND_DAYS)
    features = counted.withColumns(
        {
            "as_of": F.lit(as_of),
            "trend": F.log((1 + scaled) / (1 + F.col("shoppers_before"))),
            "return_rate": F.when(trades > 0, F.col("refunds") / trades),
            "repeat_rate": F.when(F.col("shoppers") > 0, F.col("repeaters") / F.col("shoppers")),
        }
    )
    prices = _prices(known.where(is_target))
    return features.join(prices, on="item_id", how="left").select(*ITEM_FEATURES.column_names)


def _prices(sales: DataFrame) -> DataFrame:
    """(item_id, price) of items with a price."""
    priced = sales.where(F.col("price") > 0).select("item_id", "event_time", "price")
    newest = priced.groupBy("item_id").agg(F.max("event_time").alias("newest"))
    recent = F.col("event_time") >= days_before(F.col("newest"), PRICE_DAYS)
    return (
        priced.join(newest, on="item_id", how="inner")
        .where(recent)
        .groupBy("item_id")
        .agg(F.percentile_approx("price", 0.5, PRICE_ACCURACY).alias("price"))
    )


def _has_target() -> Column:
    return F.col("user_id").isNotNull() & (F.col("target_orders") > 0)


def _shoppers_since(moment: str, as_of: datetime, days: int) -> Column:
    """Aggregate: shoppers whose `moment` is not older than `days`."""
    return F.count_if(F.col("user_id").isNotNull() & (F.col(moment) >= days_before(F.lit(as_of), days)))
