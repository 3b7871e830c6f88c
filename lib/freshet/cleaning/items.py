"""States of items over time, from the event rows and from a catalogue.

Event rows give an item's name and price with noise: typing errors, discounts, prices by quantity. So time is cut
into periods and an item has one state per period: for each attribute the most frequent text, for the price the
median. A state becomes a row only where it differs from the one before.
"""

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from freshet.cleaning.item_attributes import item_attribute_columns
from freshet.cleaning.parsing import PLACE
from freshet.cleaning.source_columns import catalogue_columns
from freshet.cleaning.values import id_text, with_plain_texts
from freshet.contracts import ITEMS_HISTORY
from freshet.sources.rules import Catalogue

STATE = ("name", "category_path", "brand", "price", "available", "attributes")


def item_states(events: DataFrame, *, state_days: int) -> DataFrame:
    """One state per item and period of `state_days` days (from 1970-01-01 UTC) in which it had events.

    `events` are accepted ones with ITEM_COLUMNS. Output: ITEMS_HISTORY columns, valid_to null. valid_from is the
    item's first event in the period; known_at is the arrival of its last one there, as the state depends on all of
    them. The texts are the most frequent combination; of equally frequent ones the last in order. The price is the
    median of the item price where that is mapped, else of the prices of its events without refunds and price
    outliers. Flagged non-products and events without item are left out.
    """
    period = F.floor(F.unix_seconds("event_time") / F.lit(86_400 * state_days)).alias("_period")
    is_usual = (F.col("event_name") != "refund") & ~F.array_contains("flags", "outlier_price")
    price = F.coalesce("item_price", F.when(is_usual, F.col("price"))).alias("price")
    texts = F.struct(
        F.col("item_name").alias("name"), F.col("item_category_path").alias("category_path"),
        F.col("item_brand").alias("brand"), F.col("item_available").alias("available"),
        F.to_json("item_attributes").alias("attributes"),
    ).alias("_texts")  # fmt: skip
    # Counting equal rows first leaves few. All later steps group by item, so rows are shuffled once.
    rows = (
        events.where("item_id is not null and not array_contains(flags, 'non_product')")
        .groupBy("item_id", period, texts, price)
        .agg(
            F.min("event_time").alias("_first"),
            F.max("received_time").alias("_known"),
            F.count(F.lit(1)).alias("_rows"),
        )
        .repartition("item_id")
    )
    by_text = rows.groupBy("item_id", "_period", "_texts").agg(
        F.min("_first").alias("_first"), F.max("_known").alias("_known"), F.sum("_rows").alias("_rows"),
        F.collect_list(F.struct("price", "_rows")).alias("_prices"),
    )  # fmt: skip
    return (
        by_text.groupBy("item_id", "_period")
        .agg(
            F.min("_first").alias("valid_from"),
            F.max("_known").alias("known_at"),
            F.max_by("_texts", F.struct("_rows", "_texts")).alias("_texts"),
            F.flatten(F.collect_list("_prices")).alias("_prices"),
        )
        .select(
            "item_id", "valid_from", F.lit(None).cast("timestamp").alias("valid_to"), "known_at",
            "_texts.name", "_texts.category_path", "_texts.brand", _median("_prices").alias("price"),
            "_texts.available", F.from_json("_texts.attributes", "map<string,string>").alias("attributes"),
        )
    )  # fmt: skip


def _median(counted: str) -> Column:
    """The lower median of an array of (price, _rows); null when no price is known. The array is short."""
    known = F.array_sort(F.filter(counted, lambda one: one["price"].isNotNull()))
    half = F.aggregate(known, F.lit(0).cast("bigint"), lambda total, one: total + one["_rows"]) / 2
    start = F.struct(F.lit(0).cast("bigint").alias("rows"), F.lit(None).cast("double").alias("price"))

    def step(state: Column, one: Column) -> Column:
        rows = state["rows"] + one["_rows"]
        price = F.when(state["rows"] < half, one["price"]).otherwise(state["price"])
        return F.struct(rows.alias("rows"), price.alias("price"))

    return F.aggregate(known, start, step)["price"]


def catalogue_items(raw: DataFrame, catalogue: Catalogue, null_values: tuple[str, ...]) -> DataFrame:
    """(item_id, STATE columns) of a catalogue file: one row per item, the last by file order.

    Rows without an id are left out.
    """
    newest = F.max_by(F.struct(*STATE), F.struct(*PLACE)).alias("_state")
    rows = catalogue_rows(raw, catalogue, null_values).where("item_id is not null")
    return rows.groupBy("item_id").agg(newest).select("item_id", "_state.*")


def catalogue_rows(
    raw: DataFrame, catalogue: Catalogue, null_values: tuple[str, ...], *, carried: tuple[str, ...] = ()
) -> DataFrame:
    """(item_id, PLACE, STATE columns) of each record about an item, and the columns `carried`, which are no part of
    the record. item_id is null where the record has none."""
    schema = StructType([field for field in raw.schema if field.name not in (*PLACE, *carried)])
    columns = item_attribute_columns(catalogue.items, schema)
    states = [column.alias(name) for name, column in zip(STATE, columns, strict=True)]
    texts = with_plain_texts(raw, [name for _, name in catalogue_columns(catalogue)], null_values)
    item_id = id_text(catalogue.item_id, schema).alias("item_id")
    return texts.select(item_id, *PLACE, *states, *carried)


def with_catalogue(states: DataFrame, catalogue: DataFrame, known_from: Column) -> DataFrame:
    """States with the catalogue's values in place of those from events, and items that only the catalogue has.

    A catalogue has no times, so it applies to all times. Items without events are valid and known from `known_from`.
    """
    renamed = catalogue.select("item_id", *[F.col(name).alias(f"_{name}") for name in STATE])
    joined = states.join(renamed, on="item_id", how="full")
    return joined.select(
        "item_id",
        F.coalesce("valid_from", known_from).alias("valid_from"),
        "valid_to",
        F.coalesce("known_at", known_from).alias("known_at"),
        *[F.coalesce(f"_{name}", name).alias(name) for name in STATE],
    ).select(*ITEMS_HISTORY.column_names)


def items_history(states: DataFrame, *, stored: DataFrame | None) -> DataFrame:
    """ITEMS_HISTORY: `states` merged into the `stored` history (None: none), with a row only where a state changes.

    Where both have a state of an item with the same start, the new one counts. Merging the same states again
    changes nothing. An attribute that is null in a state keeps its last value.
    """
    one_each = states if stored is None else _newest_stated(states, stored)
    in_time = Window.partitionBy("item_id").orderBy("valid_from")
    so_far = in_time.rowsBetween(Window.unboundedPreceding, Window.currentRow)
    # An attribute that is missing in a period keeps its value from the period before.
    filled = {name: F.last(name, ignorenulls=True).over(so_far) for name in STATE}
    # Maps cannot be compared; their JSON can.
    state = F.to_json(F.struct(*STATE), {"ignoreNullFields": "false"})
    complete = one_each.withColumns(filled).withColumn("_state", state)
    earlier = F.lag("_state").over(in_time)
    changes = complete.withColumn("_before", earlier).where("_before is null or _before != _state")
    return changes.withColumn("valid_to", F.lead("valid_from").over(in_time)).select(*ITEMS_HISTORY.column_names)


def _newest_stated(states: DataFrame, stored: DataFrame) -> DataFrame:
    """The union of both; where an item has two states with the same start, the new one."""
    every = states.withColumn("_fresh", F.lit(1)).unionByName(stored.withColumn("_fresh", F.lit(0)))
    same_start = Window.partitionBy("item_id", "valid_from").orderBy(F.desc("_fresh"))
    numbered = every.repartition("item_id").withColumn("_nth", F.row_number().over(same_start))
    return numbered.where("_nth = 1").drop("_fresh", "_nth")
