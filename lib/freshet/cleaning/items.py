"""States of items over time, from the event rows and from a catalogue.

Event rows tell an item's name and price with noise: typing errors, discounts, prices by quantity. So time is cut
into periods, an item has one state per period (each attribute the text most frequent in it, the price its median),
and a state is a row only where it differs from the one before.
"""

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.types import StructField, StructType

from freshet.cleaning.parsing import PLACE, item_attribute_columns
from freshet.cleaning.rules import Catalogue
from freshet.cleaning.values import id_text
from freshet.contracts import ITEMS_HISTORY

STATE = ("name", "category_path", "brand", "price", "available", "attributes")


def item_states(events: DataFrame, *, state_days: int) -> DataFrame:
    """One state per item and period of `state_days` days (from 1970-01-01 UTC) in which it had events.

    `events` are accepted ones with ITEM_COLUMNS. Output: ITEMS_HISTORY columns, valid_to null. valid_from is the
    item's first event in the period; known_at the arrival of its last one there, as the state rests on all of them.
    Prices: the item's own where mapped, else those of its events but refunds and price outliers; the median's lower
    value. Ties between texts go to the first in text order. Flagged non-products and events without item are left out.
    """
    whole_days = F.floor(F.unix_seconds("event_time") / F.lit(86_400 * state_days))
    told = (F.col("event_name") != "refund") & ~F.array_contains("flags", "outlier_price")
    price = F.coalesce("item_price", F.when(told, F.col("price")))
    by_text = {name: _most_frequent(f"item_{name}") for name in STATE if name not in ("price", "attributes")}
    attributes = F.mode(F.to_json("item_attributes"), True)
    return (
        events.where("item_id is not null and not array_contains(flags, 'non_product')")
        .groupBy("item_id", whole_days.alias("_period"))
        .agg(
            F.min("event_time").alias("valid_from"),
            F.max("received_time").alias("known_at"),
            *[column.alias(name) for name, column in by_text.items()],
            F.percentile_approx(price, 0.5, 10_000).alias("price"),
            F.from_json(attributes, "map<string,string>").alias("attributes"),
        )
        .withColumn("valid_to", F.lit(None).cast("timestamp"))
        .select(*ITEMS_HISTORY.column_names)
    )


def catalogue_items(raw: DataFrame, catalogue: Catalogue, null_values: tuple[str, ...]) -> DataFrame:
    """(item_id, STATE columns) of a catalogue file: one row per item, the last by file order. Rows without id are left out."""
    schema = StructType([StructField(f.name, f.dataType) for f in raw.schema if f.name not in PLACE])
    columns = item_attribute_columns(catalogue.items, schema, null_values)
    states = [column.alias(name) for name, column in zip(STATE, columns, strict=True)]
    rows = raw.select(id_text(catalogue.item_id, schema, null_values).alias("item_id"), *PLACE, *states)
    newest = F.max_by(F.struct(*STATE), F.struct(*PLACE)).alias("_state")
    return rows.where("item_id is not null").groupBy("item_id").agg(newest).select("item_id", "_state.*")


def with_catalogue(states: DataFrame, catalogue: DataFrame, known_from: Column) -> DataFrame:
    """States with the catalogue's values in place of those told by events, and items that only the catalogue has.

    A catalogue has no times: it is taken to hold always. Items without events are valid and known from `known_from`.
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
    """ITEMS_HISTORY: `states` put into the `stored` history (None: none), a row only where a state changes.

    Where both have a state of an item from one time, the new one counts. Putting the same states in again changes
    nothing. An attribute that a state leaves null keeps its last value.
    """
    fresh = states.withColumn("_fresh", F.lit(1))
    every = fresh if stored is None else fresh.unionByName(stored.withColumn("_fresh", F.lit(0)))
    same_start = Window.partitionBy("item_id", "valid_from").orderBy(F.desc("_fresh"))
    in_time = Window.partitionBy("item_id").orderBy("valid_from")
    so_far = in_time.rowsBetween(Window.unboundedPreceding, Window.currentRow)
    # What a period does not tell is what was told before.
    filled = {name: F.last(name, ignorenulls=True).over(so_far) for name in STATE}
    # Maps cannot be compared; their JSON can.
    state = F.to_json(F.struct(*STATE), {"ignoreNullFields": "false"})
    one_each = every.withColumn("_nth", F.row_number().over(same_start)).where("_nth = 1")
    told = one_each.withColumns(filled).withColumn("_state", state)
    changes = told.withColumn("_before", F.lag("_state").over(in_time)).where("_before is null or _before != _state")
    return changes.withColumn("valid_to", F.lead("valid_from").over(in_time)).select(*ITEMS_HISTORY.column_names)


def _most_frequent(column: str) -> Column:
    return F.mode(F.col(column), True)
