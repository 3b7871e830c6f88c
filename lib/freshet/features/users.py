"""What is known of each shopper as of one or several cut dates.

The counts of one cut are made from `moments` (an order's or event's rows of one time that became known before the
same cut), so that several cuts cost little more than one: only moments are repeated per cut, not events.
"""

from collections.abc import Sequence
from datetime import datetime

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from freshet.contracts import USER_FEATURES
from freshet.contracts.features import FEATURE_WINDOWS_DAYS
from freshet.features.basis import (
    CARTS,
    PURCHASE,
    REFUND,
    VIEWS,
    counted_events,
    cut_of,
    days_before,
    days_between,
    first_cut_after,
    sorted_cuts,
)


def user_features(events: DataFrame, *, as_of: datetime) -> DataFrame:
    """Contract USER_FEATURES as of one date; see `user_features_at`."""
    return user_features_at(events, [as_of])


def user_features_at(events: DataFrame, cuts: Sequence[datetime]) -> DataFrame:
    """Contract USER_FEATURES: a row per cut and shopper with an event that was known before the cut.

    Windows of d days reach from 24 * d hours before the cut (inclusive) to the cut (exclusive), by event time.
    An order has the time of its newest line; gaps lie between days (UTC) with orders, their deviation is the
    sample's. A line without quantity is one piece; monetary values are null for a shopper with orders of which
    none has a price, 0 without orders. Lines flagged non_product and events without shopper are left out.
    No event at all gives an empty frame; no cut a ValueError.
    """
    rising = sorted_cuts(cuts)
    facts = (
        counted_events(events)
        .where((F.col("known_at") < F.lit(rising[-1])) & F.col("user_id").isNotNull())
        .withColumn("cut", first_cut_after(F.col("known_at"), rising))
    )
    key = ["user_id", "cut"]
    joined = (
        _activity(facts, rising)
        .join(_items(facts, rising), on=key, how="left")
        .join(_order_items(facts, rising), on=key, how="left")
    )
    counts = [f"items_{days}d" for days in FEATURE_WINDOWS_DAYS] + ["items_breadth"]
    return joined.select(
        cut_of(F.col("cut"), rising).alias("as_of"),
        *[name for name in USER_FEATURES.column_names if name not in ("as_of", "mean_basket_items", *counts)],
        *[F.coalesce(F.col(name), F.lit(0)).alias(name) for name in counts],
        F.when(F.col("orders") > 0, F.col("order_items") / F.col("orders")).alias("mean_basket_items"),
    ).select(*USER_FEATURES.column_names)


def _activity(facts: DataFrame, cuts: list[datetime]) -> DataFrame:
    """All features that need no item, per user_id and cut."""
    # Only orders are told apart; for other events each row counts.
    is_trade = F.col("event_name").isin(PURCHASE, REFUND)
    moments = (
        facts.withColumn("order_id", F.when(is_trade, F.col("order_id")))
        .groupBy("user_id", "event_name", "order_id", "event_time", "cut")
        .agg(F.count(F.lit(1)).alias("rows"), F.sum("spend").alias("spend"))
    )
    as_of = cut_of(F.col("cut"), cuts)
    inside = {days: F.col("event_time") >= days_before(F.col("as_of"), days) for days in FEATURE_WINDOWS_DAYS}
    orders = (
        _at_every_later_cut(moments, len(cuts))
        .withColumn("as_of", as_of)
        .groupBy("user_id", "cut", "as_of", "event_name", "order_id")
        .agg(
            F.min("event_time").alias("first_time"),
            F.max("event_time").alias("event_time"),
            F.sum("rows").alias("rows"),
            F.sum("spend").alias("spend"),
            *[F.sum(F.when(within, F.col("rows"))).alias(f"rows_{days}d") for days, within in inside.items()],
            *[F.sum(F.when(within, F.col("spend"))).alias(f"spend_{days}d") for days, within in inside.items()],
        )
    )
    is_order, is_refund = F.col("event_name") == PURCHASE, F.col("event_name") == REFUND
    counted = orders.groupBy("user_id", "cut", "as_of").agg(
        F.min("first_time").alias("first_time"),
        F.max("event_time").alias("last_time"),
        F.max(F.when(is_order, F.col("event_time"))).alias("last_order"),
        F.array_sort(F.collect_set(F.when(is_order, F.to_date("event_time")))).alias("order_days"),
        F.count_if(is_order).alias("orders"),
        F.count_if(is_refund).alias("refunds"),
        F.sum("spend").alias("spend"),
        _rows_of(VIEWS).alias("views"),
        _rows_of(CARTS).alias("carts"),
        *[F.coalesce(F.sum(f"rows_{days}d"), F.lit(0)).alias(f"events_{days}d") for days in inside],
        *[F.count_if(is_order & within).alias(f"orders_{days}d") for days, within in inside.items()],
        *[F.sum(f"spend_{days}d").alias(f"spend_{days}d") for days in inside],
    )
    return _with_derived(counted)


def _with_derived(counted: DataFrame) -> DataFrame:
    as_of, days = F.col("as_of"), F.col("order_days")
    trades = F.col("orders") + F.col("refunds")
    monetary = F.when(trades == 0, F.lit(0.0)).otherwise(F.col("spend"))
    gaps = F.zip_with(
        F.slice(days, 2, F.greatest(F.size(days) - 1, F.lit(0))),
        F.slice(days, 1, F.greatest(F.size(days) - 1, F.lit(0))),
        lambda later, earlier: F.date_diff(later, earlier).cast("double"),
    )
    return counted.withColumns(
        {
            "recency_days": days_between(F.col("last_order"), as_of),
            "idle_days": days_between(F.col("last_time"), as_of),
            "tenure_days": days_between(F.col("first_time"), as_of),
            "monetary": monetary,
            "return_rate": F.when(trades > 0, F.col("refunds") / trades),
            "mean_gap_days": F.when(F.size(days) > 1, _mean(gaps)),
            "sd_gap_days": F.when(F.size(days) > 2, _sample_deviation(gaps)),
            **{
                f"monetary_{d}d": F.when(monetary.isNotNull(), F.coalesce(F.col(f"spend_{d}d"), F.lit(0.0)))
                for d in FEATURE_WINDOWS_DAYS
            },
        }
    )


def _items(facts: DataFrame, cuts: list[datetime]) -> DataFrame:
    """Distinct items touched, in all and per window, per user_id and cut.

    Of each shopper and item only the newest event as of a cut matters, and it stays the newest until the next cut
    before which another one became known: no distinct count is needed.
    """
    by_cut = Window.partitionBy("user_id", "item_id").orderBy("cut")
    so_far = by_cut.rowsBetween(Window.unboundedPreceding, Window.currentRow)
    newest = (
        facts.where(F.col("item_id").isNotNull())
        .groupBy("user_id", "item_id", "cut")
        .agg(F.max("event_time").alias("event_time"))
        .withColumn("until", F.coalesce(F.lead("cut").over(by_cut) - 1, F.lit(len(cuts))))
        .withColumn("event_time", F.max("event_time").over(so_far))
    )
    as_of = cut_of(F.col("cut"), cuts)
    return (
        newest.withColumn("cut", F.explode(F.sequence("cut", "until")))
        .groupBy("user_id", "cut")
        .agg(
            F.count(F.lit(1)).alias("items_breadth"),
            *[
                F.count_if(F.col("event_time") >= days_before(as_of, days)).alias(f"items_{days}d")
                for days in FEATURE_WINDOWS_DAYS
            ],
        )
    )


def _order_items(facts: DataFrame, cuts: list[datetime]) -> DataFrame:
    """Distinct items of each order, summed over the orders, per user_id and cut."""
    is_bought = (F.col("event_name") == PURCHASE) & F.col("item_id").isNotNull()
    known_from = facts.where(is_bought).groupBy("user_id", "order_id", "item_id").agg(F.min("cut").alias("cut"))
    new = known_from.groupBy("user_id", "cut").agg(F.count(F.lit(1)).alias("new"))
    return _at_every_later_cut(new, len(cuts)).groupBy("user_id", "cut").agg(F.sum("new").alias("order_items"))


def _at_every_later_cut(df: DataFrame, cuts: int) -> DataFrame:
    """Each row once for every cut from its own on."""
    return df.withColumn("cut", F.explode(F.sequence(F.col("cut"), F.lit(cuts))))


def _rows_of(names: tuple[str, ...]) -> Column:
    return F.sum(F.when(F.col("event_name").isin(*names), F.col("rows")).otherwise(0))


def _mean(values: Column) -> Column:
    return F.aggregate(values, F.lit(0.0), lambda total, value: total + value) / F.size(values)


def _sample_deviation(values: Column) -> Column:
    mean = _mean(values)
    squares = F.transform(values, lambda value: (value - mean) * (value - mean))
    return F.sqrt(F.aggregate(squares, F.lit(0.0), lambda total, value: total + value) / (F.size(values) - 1))
