"""Whether a mapping fits the columns of the data."""

import pytest
from pyspark.sql.types import ArrayType, DataType, LongType, MapType, StringType, StructField, StructType

from freshet.cleaning.source_columns import check_json, check_mapping, json_columns
from freshet.core.errors import MappingError
from freshet.sources.mapping import source_mapping

VALUES = {
    "name": "shop",
    "format": "csv",
    "event_name": {"rules": [{"column": "Kind", "equals": "sale", "name": "purchase"}]},
    "columns": {"user_id": "user.id", "item_id": "sku"},
    "time": {"column": "when", "sequence": "nth"},
    "properties": ["Country"],
}


def schema_of(*names: str) -> StructType:
    """Columns of texts; "user.id" is a field within a column."""
    plain = [StructField(name, StringType()) for name in names if "." not in name]
    inner = [name.split(".") for name in names if "." in name]
    return StructType([*[StructField(a, StructType([StructField(b, StringType())])) for a, b in inner], *plain])


def checked(*names: str, **over: object) -> None:
    problems: list[str] = []
    mapping = source_mapping({**VALUES, **over}, problems)
    assert problems == []
    check_mapping(mapping, schema_of(*names), "shop.csv")


def test_mapping_that_fits_passes_also_with_nested_columns() -> None:
    checked("user.id", "sku", "when", "nth", "Kind", "Country", "more")


def test_every_missing_column_is_named_with_its_key_and_the_nearest_name() -> None:
    with pytest.raises(MappingError) as caught:
        checked("user.no", "SKU_", "when", "nth", "Country")
    message = str(caught.value)
    assert "3 problems" in message
    assert "columns.user_id names column user.id, which is not there" in message
    assert "columns.item_id names column sku, which is not there (did you mean SKU_?)" in message
    assert "event_name names column Kind" in message
    assert "found columns user, SKU_, when, nth, Country" in message


def test_single_joined_column_hints_at_the_separator() -> None:
    with pytest.raises(MappingError, match="separated by ';': set `separator`"):
        checked("user;sku;when")


def test_strict_mapping_names_columns_it_does_not_know() -> None:
    names = ("user.id", "sku", "when", "nth", "Kind", "Country", "more")
    checked(*names, ignore=["more"])
    with pytest.raises(MappingError, match="column more is neither mapped nor under ignore"):
        checked(*names, ignore=["less"])


ENTRY = StructType([StructField("sku", StringType()), StructField("item_id", StringType())])


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("sku", ArrayType(LongType()),
         "columns.item_id names column sku, a list (array<bigint>): make a record of each entry first (explode)"),
        ("sku", ArrayType(ENTRY),
         "columns.item_id names column sku, a list (array<struct<sku:string,item_id:string>>): make a record of each "
         "entry first (explode) and map a field of it, such as sku.item_id"),
        ("sku", ENTRY,
         "columns.item_id names column sku, a struct (struct<sku:string,item_id:string>): map one of its fields, such "
         "as sku.item_id"),
        ("sku", MapType(StringType(), LongType()),
         "columns.item_id names column sku, a map (map<string,bigint>): give the value a column of its own"),
        ("sku.item_id", ArrayType(ENTRY),
         "columns.item_id names sku.item_id, but sku is a list (array<struct<sku:string,item_id:string>>): make a "
         "record of each entry first (explode)"),
    ],
    ids=["list", "list of structs", "struct", "map", "field within a list"],
)  # fmt: skip
def test_a_column_of_several_values_is_refused_with_what_to_map_instead(
    name: str, kind: DataType, expected: str
) -> None:
    problems: list[str] = []
    mapping = source_mapping({**VALUES, "columns": {"user_id": "user.id", "item_id": name}}, problems)
    schema = schema_of("user.id", "when", "nth", "Kind", "Country").add(name.partition(".")[0], kind)
    with pytest.raises(MappingError) as caught:
        check_mapping(mapping, schema, "shop.parquet")
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_properties_and_attributes_may_hold_several_values() -> None:
    problems: list[str] = []
    mapping = source_mapping({**VALUES, "items": {"attributes": {"tags": "tags"}}}, problems)
    plain = schema_of("user.id", "sku", "when", "nth", "Kind")
    check_mapping(mapping, plain.add("Country", ENTRY).add("tags", ArrayType(StringType())), "shop.parquet")


def test_columns_that_a_sample_of_json_lacks_are_given_and_what_it_has_as_lists_is_refused() -> None:
    problems: list[str] = []
    mapping = source_mapping({**VALUES, "format": "json"}, problems)
    sampled = schema_of("user.number", "SKU", "when", "Kind", "Country")
    absent = check_json(mapping, sampled, "shop.json")
    assert [(one.problem.split(",")[0], one.has_like) for one in absent] == [
        ("columns.user_id names column user.id", True),
        ("columns.item_id names column sku", True),
        ("time.sequence names column nth", False),
    ]
    with pytest.raises(MappingError, match="time names column when, a list"):
        check_json(mapping, schema_of("user.id").add("when", ArrayType(StringType())), "shop.json")
    strict = source_mapping({**VALUES, "format": "json", "ignore": ["more"]}, problems)
    with pytest.raises(MappingError, match="column SKU is neither mapped nor under ignore"):
        check_json(strict, sampled, "shop.json")


def test_fields_of_json_are_read_at_any_depth() -> None:
    found = json_columns(["a.b.c", "a.b.d", "a.e", "f", "properties"])
    assert found.simpleString() == (
        "struct<a:struct<b:struct<c:string,d:string>,e:string>,f:string,properties:map<string,string>,"
        "_broken_record:string>"
    )
