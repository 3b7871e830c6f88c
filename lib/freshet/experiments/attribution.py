"""Which lists earned an order: the lists in which the shopper had seen or clicked the item before buying it."""

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from freshet.contracts.events import IMPRESSIONS, PURCHASE, REFUND
from freshet.contracts.experiments import TOUCH_MODELS
from freshet.contracts.identity import joined_sessions
from freshet.contracts.shoppers import is_left_out, order_id, shopper_id

LAST_TOUCH, SHARED_TOUCH = TOUCH_MODELS
"""last_touch: an order line counts for the list that the shopper touched last; shared_touch: in equal parts for all."""

CLICK, VIEW = "click", "view"
TOUCHES = (CLICK, VIEW)

_MICROSECONDS_PER_HOUR = 3_600_000_000


def attributed(events: DataFrame, *, click_window_hours: float, view_window_hours: float) -> DataFrame:
    """(model, event_id, item_position, order_id, user_id, item_id, revenue, recommendation_id, touch, share): a row per
    order line, touch model and list that the line counts for.

    `events` are EVENTS, with prices in one currency. A touch is an event of the line's shopper with the line's item
    and a recommendation_id, at the time of the purchase or earlier: a view where the item was shown (IMPRESSIONS),
    else a click, within its window in hours, ends included. A purchase that names its recommendation is itself a
    click. With a `view_window_hours` of 0 there are no views. Where a line has clicks, views do not count for it.
    Several touches of one list are one, at the time of the newest; of lists touched at the same time the one whose id
    comes first is the last touch. `share`, above 0 and at most 1, adds up to 1 over the lists of a line and model;
    lines without a touch are left out. `revenue` is that of the whole line, pieces (1 where none are given) times
    price; null without a price.

    Events of anonymous sessions are those of the customer they belong to (contracts.identity). Refunds take nothing
    away. Events flagged non_product or bot, and those without shopper or item, do not count.
    """
    known = _of_customers(events.where(~is_left_out())).where("user_id is not null and item_id is not null")
    touches = known.where(F.col("recommendation_id").isNotNull() & (F.col("event_name") != REFUND)).select(
        "user_id", "item_id", "recommendation_id", is_click().alias("_is_click"),
        F.unix_micros("event_time").alias("_touched"),
    )  # fmt: skip
    if view_window_hours == 0.0:
        touches = touches.where("_is_click")
    revenue = F.coalesce(F.col("quantity"), F.lit(1.0)) * F.col("price")
    lines = known.where(F.col("event_name") == PURCHASE).select(
        *_LINE, order_id().alias("order_id"), "user_id", "item_id", revenue.alias("revenue"),
        F.unix_micros("event_time").alias("_bought"),
    )  # fmt: skip
    waited = F.col("_bought") - F.col("_touched")
    window = F.when(F.col("_is_click"), F.lit(click_window_hours)).otherwise(F.lit(view_window_hours))
    near = lines.join(touches, on=["user_id", "item_id"], how="inner").where(
        (waited >= 0) & (waited <= window * _MICROSECONDS_PER_HOUR)
    )
    facts = ("order_id", "user_id", "item_id", "revenue")
    lists = near.groupBy(*_LINE, *facts, "recommendation_id", "_is_click").agg(F.max("_touched").alias("_touched"))
    return _credited(lists).select(
        "model", *_LINE, *facts, "recommendation_id",
        F.when(F.col("_is_click"), CLICK).otherwise(VIEW).alias("touch"), "share",
    )  # fmt: skip


_LINE = ("event_id", "item_position")


def is_click() -> Column:
    """True for events that are more than an item being shown. Never null."""
    return ~F.col("event_name").isin(*IMPRESSIONS)


def _of_customers(events: DataFrame) -> DataFrame:
    """`events`, each once, with user_id the shopper: of a session that belongs to a customer, the customer."""
    joined = joined_sessions(events)
    others = events.join(joined.select(*_LINE), on=list(_LINE), how="left_anti")
    return others.select(*events.columns).unionByName(joined).withColumn("user_id", shopper_id())


def _credited(lists: DataFrame) -> DataFrame:
    """Rows of line and list with `model` and `share`; only those of clicks where a line has any."""
    line = Window.partitionBy(*_LINE)
    strongest = lists.withColumn("_any_click", F.max("_is_click").over(line)).where("_is_click = _any_click")
    newest_first = line.orderBy(F.col("_touched").desc(), "recommendation_id")
    counted = strongest.withColumn("_place", F.row_number().over(newest_first)).withColumn(
        "_lists", F.count(F.lit(1)).over(line)
    )
    shares = {
        LAST_TOUCH: F.when(F.col("_place") == 1, F.lit(1.0)).otherwise(F.lit(0.0)),
        SHARED_TOUCH: 1.0 / F.col("_lists"),
    }
    both = F.explode(F.array(*[F.struct(F.lit(name).alias("model"), share.alias("share"))
                               for name, share in shares.items()]))  # fmt: skip
    return counted.withColumn("_both", both).select("*", "_both.model", "_both.share").where("share > 0")


def list_outcomes(events: DataFrame, *, click_window_hours: float, view_window_hours: float) -> DataFrame:
    """(recommendation_id, model, first_seen, impressions, clicks, orders, revenue): a row per list and touch model.

    `events` as in `attributed`. impressions and clicks are the numbers of different items of the list that were shown
    and clicked, the same in both models. An order counts once: where several of its lines count for lists, each line
    for its part of the order. `revenue` adds up shares of lines; lines without a price add nothing.
    """
    named = events.where(F.col("recommendation_id").isNotNull() & ~is_left_out())
    seen = named.groupBy("recommendation_id").agg(
        F.min("event_time").alias("first_seen"),
        F.count_distinct(F.when(~is_click(), F.col("item_id"))).alias("impressions"),
        F.count_distinct(F.when(is_click() & (F.col("event_name") != REFUND), F.col("item_id"))).alias("clicks"),
    )
    lines = attributed(events, click_window_hours=click_window_hours, view_window_hours=view_window_hours)
    of_order = F.sum("share").over(Window.partitionBy("model", "user_id", "order_id"))
    earned = (
        lines.withColumn("_part", F.col("share") / of_order)
        .groupBy("recommendation_id", "model")
        .agg(F.sum("_part").alias("orders"), F.sum(F.col("share") * F.col("revenue")).alias("revenue"))
    )
    both = F.explode(F.array(*[F.lit(model) for model in TOUCH_MODELS])).alias("model")
    return seen.select("*", both).join(earned, on=["recommendation_id", "model"], how="left").select(
        "recommendation_id", "model", "first_seen", "impressions", "clicks",
        F.coalesce("orders", F.lit(0.0)).alias("orders"), F.coalesce("revenue", F.lit(0.0)).alias("revenue"),
    )  # fmt: skip
