"""Table contracts: every mismatch of a schema, and every broken rule of rows, in one message."""

import math

import pytest
from pyspark.sql import SparkSession
from pyspark.sql.types import (
    ArrayType,
    DoubleType,
    IntegerType,
    LongType,
    MapType,
    StringType,
    StructField,
    StructType,
)

from freshet.contracts import ALL_TABLES, Column, TableContract
from freshet.contracts.row_rules import spark_problems
from freshet.contracts.table import same_type
from freshet.core.errors import ContractError, listed
from tests.factories import local_frame

SHELVES = TableContract(
    name="shelves",
    row="a shelf of a shop",
    columns=(
        Column("shop", StringType(), "the shop", required=True),
        Column("shelf", IntegerType(), "number of the shelf", minimum=1, maximum=9),
        Column("kind", StringType(), "the shelf's kind", allowed=("wall", "island")),
        Column("length", DoubleType(), "how long it is", "m", minimum=0),
        Column("balance", DoubleType(), "its profit", "currency"),
        Column("tags", ArrayType(StringType()), "free words"),
    ),
    key=("shop", "shelf"),
)

SOUND = {"shop": "a", "shelf": 1, "kind": "wall", "length": 0.0, "balance": -3.0, "tags": ["x"]}


def broken_rules(spark: SparkSession, *rows: dict) -> list[str]:
    return spark_problems(local_frame(spark, SHELVES.schema, list(rows)), SHELVES)


def test_schema_names_every_missing_extra_and_mistyped_column_at_once() -> None:
    found = StructType(
        [
            StructField("shelf", LongType()),
            StructField("kind", StringType()),
            StructField("length", DoubleType()),
            StructField("balance", DoubleType()),
            StructField("tags", ArrayType(IntegerType())),
            StructField("colour", StringType()),
        ]
    )
    assert SHELVES.schema_problems(found) == [
        "column shop (string) is missing",
        "column shelf must be int, is bigint",
        "column tags must be array<string>, is array<int>",
        "column colour is not in the contract",
    ]


def test_conform_sorts_columns_and_raises_all_mismatches_in_one_error(spark: SparkSession) -> None:
    turned = local_frame(spark, SHELVES.schema, [SOUND]).select(*reversed(SHELVES.column_names))
    assert SHELVES.conform(turned).columns == SHELVES.column_names
    with pytest.raises(ContractError) as caught:
        SHELVES.conform(turned.drop("kind").withColumnRenamed("length", "width"))
    assert "3 problems: (1) column kind" in caught.value.line()
    assert "column width is not in the contract" in caught.value.line()
    assert caught.value.where == "table shelves"


def test_a_duplicate_column_is_named(spark: SparkSession) -> None:
    frame = local_frame(spark, SHELVES.schema, [SOUND])
    with pytest.raises(ContractError, match="column kind occurs 2 times"):
        SHELVES.conform(frame.select("*", "kind"))


def test_sound_rows_with_limits_and_nulls_have_no_problem(spark: SparkSession) -> None:
    nulls = {"shop": "b", "shelf": 9, "kind": None, "length": None, "balance": None, "tags": None}
    assert broken_rules(spark, SOUND, nulls) == []


def test_every_broken_rule_is_listed_with_its_rows(spark: SparkSession) -> None:
    problems = broken_rules(
        spark,
        {**SOUND, "shop": None},  # a required column
        {**SOUND, "shelf": None},  # a key column, required though its column does not say so
        {**SOUND, "shelf": 10},  # above
        {**SOUND, "shelf": 0},  # below
        {**SOUND, "shelf": 2, "kind": "attic"},  # not of the closed set
        {**SOUND, "shelf": 3, "length": -0.5},  # below
        {**SOUND, "shelf": 4, "length": math.nan},  # NaN is never in range
        {**SOUND, "shelf": 5, "balance": math.nan},  # nor a number where any number will do
        {**SOUND, "shelf": 6},  # repeated key
        {**SOUND, "shelf": 6, "kind": "island"},
    )
    assert problems == [
        "shop must be not null: 1 rows break this",
        "shelf must be not null, 1 to 9: 3 rows break this",
        "kind must be one of wall, island: 1 rows break this",
        "length must be 0 to inf: 2 rows break this",
        "balance must be a number: 1 rows break this",
        "key (shop, shelf) must be unique: 1 keys are repeated",
    ]


def test_same_type_ignores_nested_nullability_but_not_names_or_types() -> None:
    def entry(name: str, kind: DoubleType | IntegerType, nullable: bool) -> ArrayType:
        return ArrayType(StructType([StructField(name, kind, nullable)]), nullable)

    assert same_type(entry("a", DoubleType(), True), entry("a", DoubleType(), False))
    assert not same_type(entry("a", DoubleType(), True), entry("b", DoubleType(), True))
    assert not same_type(entry("a", DoubleType(), True), entry("a", IntegerType(), True))
    assert same_type(MapType(StringType(), StringType(), True), MapType(StringType(), StringType(), False))
    assert not same_type(MapType(StringType(), StringType()), MapType(StringType(), IntegerType()))


def test_listed_numbers_several_problems_only() -> None:
    assert listed(["one"]) == "one"
    assert listed(["one", "two"]) == "2 problems: (1) one; (2) two"


@pytest.mark.parametrize("contract", ALL_TABLES, ids=lambda contract: contract.name)
def test_every_contract_is_whole(contract: TableContract) -> None:
    names = contract.column_names
    assert len(set(names)) == len(names)
    assert set(contract.key) <= set(names)
    assert set(contract.partition_by) <= set(names)
    assert all(column.meaning for column in contract.columns)
