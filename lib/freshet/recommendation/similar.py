"""Similar items: an item's neighbours as a table."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F


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
