"""Lists for shoppers without a list of their own: popular and trending items, also by category and by attributes of
shoppers."""

from collections.abc import Sequence
from datetime import datetime
from functools import reduce

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from freshet.contracts import POPULAR_ITEMS
from freshet.contracts.models import SCOPE_KINDS

ALL, CATEGORY, ATTRIBUTE = SCOPE_KINDS

_WINDOWS: dict[str, int | None] = {"7d": 7, "30d": 30, "all": None}
_NEW_DAYS, _BASE_DAYS = 7, 30 - 7


def popular_items(features: DataFrame, categories: DataFrame, *, length: int) -> DataFrame:
    """Contract POPULAR_ITEMS: per window the `length` items with most shoppers, over all and within each category, and
    those that are trending.

    `features` is contract ITEM_FEATURES at one as_of, `categories` (item_id, category_path), null for items without a
    category. Items without a shopper in a window are not in its list; ties by item_id. An item is trending if more
    shoppers took it in the last 7 days than expected by the 23 days before; the score is the difference in standard
    deviations of a count (Poisson) of that pace plus one.
    """
    of_category = F.when(F.col("category_path").isNotNull(), _scope(CATEGORY, F.col("category_path")))
    scopes = F.array_compact(F.array(_scope(ALL, F.lit(ALL)), of_category))
    scoped = features.join(categories, "item_id", how="left").withColumn("_scope", F.explode(scopes))
    expected = (F.col("shoppers_30d") - F.col("shoppers_7d")) * (_NEW_DAYS / _BASE_DAYS)
    windows = [
        _scored(window, F.col("shoppers" if days is None else f"shoppers_{days}d")) for window, days in _WINDOWS.items()
    ]
    trending = _scored("trending", (F.col("shoppers_7d") - expected) / F.sqrt(expected + 1))
    each = scoped.withColumn("_scored", F.explode(F.array(*windows, trending)))
    rows = each.select("_scope.*", "_scored.*", "item_id", "as_of").where("score > 0")
    return _ranked(rows, length)


def popular_by_attribute(taken: DataFrame, *, as_of: datetime, length: int, prior_shoppers: float) -> DataFrame:
    """Contract POPULAR_ITEMS for shoppers of whom no more than an attribute is known: per value and window the `length`
    items with the highest score; ties by item_id.

    `taken`: (user_id, item_id, newest, scopes array<text>), a row per pair, with the time of the shopper's newest
    target event with the item, before `as_of`, and the texts attribute=value of the shopper. The score of an item is
    the number of the scope's shoppers who took it in the window, plus `prior_shoppers` times the share of all shoppers
    of the window who did: the mean of a Beta posterior, times the scope's shoppers and the prior's together. So the
    list of a scope with few shoppers is close to that of all.
    """
    age = F.lit(as_of).cast("timestamp").cast("double") - F.col("newest").cast("double")
    inside = [F.when(F.lit(True) if days is None else age <= days * 86_400, F.lit(window))
              for window, days in _WINDOWS.items()]  # fmt: skip
    pairs = taken.withColumn("window", F.explode(F.array_compact(F.array(*inside))))
    shoppers = pairs.groupBy("window").agg(F.count_distinct("user_id").alias("_shoppers"))
    of_all = pairs.groupBy("window", "item_id").agg(F.count(F.lit(1)).alias("_all")).join(
        F.broadcast(shoppers), "window", how="inner"
    )  # fmt: skip
    own = (
        pairs.withColumn("scope", F.explode("scopes"))
        .groupBy("scope", "window", "item_id")
        .agg(F.count(F.lit(1)).alias("_own"))
    )
    best = Window.partitionBy("window").orderBy(F.desc("_all"), "item_id")
    common = of_all.withColumn("_place", F.row_number().over(best)).where(F.col("_place") <= length)
    every = own.select("scope").distinct().crossJoin(common.select("window", "item_id"))
    candidates = every.union(own.select("scope", "window", "item_id")).distinct()
    scored = candidates.join(own, ["scope", "window", "item_id"], how="left").join(
        of_all, ["window", "item_id"], how="inner"
    )
    score = F.coalesce("_own", F.lit(0)) + F.lit(prior_shoppers) * F.col("_all") / F.col("_shoppers")
    rows = scored.select(
        F.lit(ATTRIBUTE).alias("scope_kind"), "scope", "window", "item_id", score.alias("score"),
        F.lit(as_of).cast("timestamp").alias("as_of"),
    )  # fmt: skip
    return _ranked(rows.where("score > 0"), length)


def attribute_scopes(attributes: DataFrame, *, most_values: int) -> DataFrame:
    """(user_id, scopes array<text>): the texts attribute=value of each shopper, of the `most_values` most frequent
    values of each attribute, ties in rising order. `attributes`: (user_id, attributes map<text, text>)."""
    each = attributes.select("user_id", F.explode("attributes").alias("name", "value")).where("value is not null")
    counts = each.groupBy("name", "value").agg(F.count(F.lit(1)).alias("_shoppers"))
    order = Window.partitionBy("name").orderBy(F.desc("_shoppers"), "value")
    frequent = counts.withColumn("_place", F.row_number().over(order)).where(F.col("_place") <= most_values)
    kept = each.join(F.broadcast(frequent.select("name", "value")), ["name", "value"], how="left_semi")
    scope = F.concat("name", F.lit("="), "value")
    return kept.groupBy("user_id").agg(F.array_sort(F.collect_list(scope)).alias("scopes"))


def together(parts: Sequence[DataFrame]) -> DataFrame:
    """Rows of several lists of popular items."""
    return reduce(DataFrame.unionByName, parts)


def _scope(kind: str, scope: Column) -> Column:
    return F.struct(F.lit(kind).alias("scope_kind"), scope.alias("scope"))


def _scored(window: str, score: Column) -> Column:
    return F.struct(F.lit(window).alias("window"), score.cast("double").alias("score"))


def _ranked(rows: DataFrame, length: int) -> DataFrame:
    order = Window.partitionBy("scope_kind", "scope", "window").orderBy(F.desc("score"), "item_id")
    ranked = rows.withColumn("position", F.row_number().over(order)).where(F.col("position") <= length)
    return ranked.select(*POPULAR_ITEMS.column_names)
