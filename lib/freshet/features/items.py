"""Features of items as of a date."""

from collections.abc import Iterator
from datetime import datetime

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import to_arrow_schema

from freshet.contracts import ITEM_FEATURES
from freshet.contracts.events import PURCHASE, REFUND
from freshet.contracts.features import POPULARITY_WINDOWS_DAYS
from freshet.features.arrays import (
    DAY,
    Bools,
    Floats,
    Ints,
    batches,
    encoded,
    highest,
    is_any,
    joint,
    micros,
    micros_of,
    ratio,
)
from freshet.features.basis import actions

TREND_DAYS, TREND_BASE_DAYS = 14, 76
"""A trend compares the newest days with the days before them."""

PRICE_DAYS = 90

_COLUMNS = ("item_id", "user_id", "event_name", "order_id", "event_time", "price")


def item_features(events: DataFrame, *, as_of: datetime, target: str) -> DataFrame:
    """Contract ITEM_FEATURES: a row per item with an event that was known before `as_of`.

    `target` is the GA4 name of the events that popularity counts. Windows of d days reach from 24 * d hours
    before `as_of` (inclusive) to `as_of` (exclusive). Price is the median over target events with a price above 0
    in the 90 days up to the item's newest such event. Return rate is by distinct orders. Lines flagged non_product,
    events flagged bot and impressions (contracts.events) are left out; events without shopper count for price, returns,
    first_seen and last_seen only. A task needs about 200 bytes per event of its items.
    """
    schema = to_arrow_schema(ITEM_FEATURES.schema, timezone="UTC")

    def made(rows_in: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        filled = [batch for batch in rows_in if batch.num_rows]
        if filled:
            yield from batches(_features(pa.Table.from_batches(filled), as_of, target), as_of, schema)

    known = actions(events).where((F.col("known_at") < F.lit(as_of)) & F.col("item_id").isNotNull())
    return known.select(*_COLUMNS).repartition("item_id").mapInArrow(made, ITEM_FEATURES.schema)


def item_features_in_process(rows: pa.Table, *, as_of: datetime, target: str) -> pa.Table:
    """`item_features` of rows that are in the memory of this process, without Spark; empty without rows.

    `rows`: (item_id, user_id, event_name, order_id, event_time, price) of events known before `as_of`; item_id and
    event_time are never null.
    """
    schema = to_arrow_schema(ITEM_FEATURES.schema, timezone="UTC")
    made = batches(_features(rows, as_of, target), as_of, schema) if rows.num_rows else iter(())
    return pa.Table.from_batches(made, schema)


def _features(rows: pa.Table, as_of: datetime, target: str) -> dict[str, pa.Array | NDArray]:
    """The columns of ITEM_FEATURES without as_of, for all items in the rows."""
    items, item = encoded(rows.column("item_id"))
    _, user = encoded(rows.column("user_id"))
    _, order = encoded(rows.column("order_id"))
    time, now, count = micros(rows.column("event_time")), micros_of(as_of), len(items)
    is_target = is_any(rows.column("event_name"), (target,))
    # Numbered again: the product of three numbers could exceed 64 bits.
    _, order_of_user = np.unique(joint(user, order), return_inverse=True)
    trades = {
        name: _distinct_orders(item, order_of_user, is_any(rows.column("event_name"), (name,)), count)
        for name in (PURCHASE, REFUND)
    }
    return {
        "item_id": items,
        **_popularity(item, user, order, time, is_target & (user >= 0), now, count),
        "price": _prices(item, time, rows.column("price").to_numpy(), is_target, count),
        "return_rate": ratio(trades[REFUND], trades[PURCHASE] + trades[REFUND]),
        "first_seen": -highest(-time, item, count),
        "last_seen": highest(time[is_target], item[is_target], count),
    }


def _popularity(
    item: Ints, user: Ints, order: Ints, time: Ints, chosen: Bools, now: int, count: int
) -> dict[str, NDArray]:
    """Shoppers in windows, trend and repeat rate from the `chosen` rows: target events with a shopper."""
    item, user, order, time = item[chosen], user[chosen], order[chosen], time[chosen]
    _, first, pair = np.unique(joint(item, user), return_index=True, return_inverse=True)
    item_of = item[first]
    newest = highest(time, pair, len(first))
    within = {d: np.bincount(item_of[newest >= now - d * DAY], minlength=count) for d in POPULARITY_WINDOWS_DAYS}
    older = time < now - TREND_DAYS * DAY
    before = highest(time[older], pair[older], len(first)) >= now - (TREND_DAYS + TREND_BASE_DAYS) * DAY
    scaled = within[TREND_DAYS] * (TREND_BASE_DAYS / TREND_DAYS)
    orders = np.bincount(pair[np.unique(joint(pair, order), return_index=True)[1]], minlength=len(first))
    shoppers = np.bincount(item_of, minlength=count)
    return {
        **{f"shoppers_{days}d": value for days, value in within.items()},
        "shoppers": shoppers,
        "trend": np.log((1 + scaled) / (1 + np.bincount(item_of[before], minlength=count))),
        "repeat_rate": ratio(np.bincount(item_of[orders > 1], minlength=count), shoppers),
    }


def _distinct_orders(item: Ints, order: Ints, chosen: Bools, count: int) -> Ints:
    """Per item, the distinct orders among the chosen rows."""
    item = item[chosen]
    return np.bincount(item[np.unique(joint(item, order[chosen]), return_index=True)[1]], minlength=count)


def _prices(item: Ints, time: Ints, price: Floats, is_target: Bools, count: int) -> Floats:
    """Per item the lower median price of its newest days with sales, NaN without a price."""
    priced = is_target & (price > 0)
    item, time, price = item[priced], time[priced], price[priced]
    recent = time >= highest(time, item, count)[item] - PRICE_DAYS * DAY
    item, price = item[recent], price[recent]
    in_order = np.lexsort((price, item))
    sales = np.bincount(item, minlength=count)
    starts = np.cumsum(sales) - sales
    medians = np.full(count, np.nan)
    sold = sales > 0
    medians[sold] = price[in_order][(starts + (sales - 1) // 2)[sold]]
    return medians
