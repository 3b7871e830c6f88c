"""Ranked lists of popular items: what shoppers without a history are served."""

from functools import reduce

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from freshet.contracts import POPULAR_ITEMS

_WINDOWS = {"7d": "shoppers_7d", "30d": "shoppers_30d", "all": "shoppers"}


def popular_items(features: DataFrame, categories: DataFrame, *, length: int) -> DataFrame:
    """Contract POPULAR_ITEMS: per window the `length` items with most shoppers, over all and within each category.

    `features` is contract ITEM_FEATURES at one as_of, `categories` (item_id, category_path), null where there is
    none. Items without a shopper in a window are not in its list; ties by item_id.
    """
    scoped = features.join(categories, "item_id", how="left").withColumn(
        "scope", F.explode(F.array_compact(F.array(F.lit("all"), F.col("category_path"))))
    )
    parts = [
        scoped.select(
            "scope", F.lit(window).alias("window"), "item_id", F.col(column).cast("double").alias("score"), "as_of"
        )
        for window, column in _WINDOWS.items()
    ]
    order = Window.partitionBy("scope", "window").orderBy(F.desc("score"), "item_id")
    ranked = reduce(DataFrame.unionByName, parts).where("score > 0").withColumn("position", F.row_number().over(order))
    return ranked.where(F.col("position") <= length).select(*POPULAR_ITEMS.column_names)


def similar_items(neighbours: DataFrame, *, length: int) -> DataFrame:
    """(item_id, items array<position, item_id, score>): the `length` nearest, ties by item_id.

    `neighbours` is (item_id, neighbours array<item_id, weight>). An item without neighbours has no row.
    """
    ordered = F.array_sort(
        F.transform("neighbours", lambda n: F.struct((-n["weight"]).alias("minus"), n["item_id"].alias("item_id")))
    )
    placed = F.transform(
        F.slice(ordered, 1, length),
        lambda n, place: F.struct(
            (place + 1).alias("position"), n["item_id"].alias("item_id"), (-n["minus"]).cast("double").alias("score")
        ),
    )
    return neighbours.select("item_id", placed.alias("items")).where(F.size("items") > 0)
