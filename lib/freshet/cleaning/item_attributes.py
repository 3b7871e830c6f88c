"""Attributes of items as Spark columns, for both event rows and catalogue files."""

from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from freshet.cleaning.values import number_from, number_of, text_of, yes_or_no
from freshet.sources.rules import ItemAttributes, TextRule

ITEM_COLUMNS = ("item_name", "item_category_path", "item_brand", "item_price", "item_available", "item_attributes")


def item_attribute_columns(items: ItemAttributes, schema: StructType) -> list[Column]:
    """name, category_path, brand, price, available and attributes of an item, in this order; null where unmapped."""
    price = F.lit(None).cast("double") if items.price is None else number_of(items.price, schema)
    return [
        _text(items.name),
        _text(items.category_path),
        _text(items.brand),
        F.when(price >= 0, price),
        _available(_text(items.available)),
        text_map([(key, text_of(rule)) for key, rule in items.attributes]),
    ]


def text_map(pairs: list[tuple[str, Column]]) -> Column:
    """A map of the texts that are not null; null without pairs."""
    if not pairs:
        return F.lit(None).cast("map<string,string>")
    whole = F.create_map(*[part for key, value in pairs for part in (F.lit(key), value)])
    gaps = pairs[0][1].isNull()
    for _, value in pairs[1:]:
        gaps = gaps | value.isNull()
    # Filtering a map is slow, and most records have no gaps.
    return F.when(gaps, F.map_filter(whole, lambda _, value: value.isNotNull())).otherwise(whole)


def _available(text: Column) -> Column:
    """From yes or no, or from the number of pieces in stock."""
    return F.coalesce(yes_or_no(text), number_from(text, ".", "") > 0)


def _text(rule: TextRule | None) -> Column:
    return F.lit(None).cast("string") if rule is None else text_of(rule)
