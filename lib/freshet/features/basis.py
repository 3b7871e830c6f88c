"""The events that all features are based on, with their shopper, their order and the time they became known."""

from collections.abc import Sequence
from datetime import datetime

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from freshet.contracts.events import IMPRESSIONS, PURCHASE, REFUND
from freshet.contracts.shoppers import counts_as_taste, entry_key, is_left_out, order_id, shopper_id

VIEWS = ("view_item", "select_item")
CARTS = ("add_to_cart", "begin_checkout", "add_to_wishlist")

_MICROSECONDS_PER_DAY = 86_400_000_000


def counted_events(events: DataFrame) -> DataFrame:
    """The events that features are computed from, with the columns that are needed.

    Columns: user_id (shopper, null when unknown), item_id (null for events without item), event_name, entry_key,
    order_id, event_time, known_at (when it had happened and was known), pieces (1 where none are given; negative
    for a refund; null unless a purchase or refund), price (null where there is none) and spend (pieces * price).
    Lines flagged non_product (postage, fees, tests) and events flagged bot are left out.
    """
    pieces = F.coalesce(F.col("quantity"), F.lit(1.0))
    signed = F.when(F.col("event_name") == PURCHASE, pieces).when(F.col("event_name") == REFUND, -pieces)
    return events.where(~is_left_out()).select(
        shopper_id().alias("user_id"),
        "item_id",
        "event_name",
        entry_key().alias("entry_key"),
        order_id().alias("order_id"),
        "event_time",
        F.greatest("event_time", "received_time").alias("known_at"),
        signed.alias("pieces"),
        "price",
        (signed * F.col("price")).alias("spend"),
    )


def actions(events: DataFrame) -> DataFrame:
    """`counted_events` without those that were only shown to a shopper (contracts.events.IMPRESSIONS)."""
    return counted_events(events.where(~F.col("event_name").isin(*IMPRESSIONS)))


def item_events(events: DataFrame) -> DataFrame:
    """`counted_events` with a shopper and an item, as needed for histories and interactions."""
    return counted_events(events.where(counts_as_taste()))


def days_between(earlier: Column, later: Column) -> Column:
    """Days from `earlier` to `later`, with fractions."""
    return (F.unix_micros(later) - F.unix_micros(earlier)) / _MICROSECONDS_PER_DAY


def days_before(moment: Column, days: int) -> Column:
    """The moment `days` times 24 hours earlier."""
    return moment - F.make_dt_interval(days=F.lit(days))


def sorted_cuts(cuts: Sequence[datetime]) -> list[datetime]:
    """The cut dates in rising order, each once. Raises ValueError when there are none."""
    if not cuts:
        raise ValueError("at least one cut date is needed")
    return sorted(set(cuts))


def first_cut_after(known_at: Column, cuts: list[datetime]) -> Column:
    """Number (from 1) of the first of the rising `cuts` after `known_at`; len(cuts) + 1 if there is none."""
    # Not a sum of cases: the JVM would take longer to compile that much generated code than to count the rows.
    return F.size(F.filter(_array_of(cuts), lambda cut: cut <= known_at)) + 1


def cut_of(number: Column, cuts: list[datetime]) -> Column:
    """The cut with this number, from 1."""
    return F.element_at(_array_of(cuts), number)


def _array_of(cuts: list[datetime]) -> Column:
    return F.array(*[F.lit(cut) for cut in cuts])
