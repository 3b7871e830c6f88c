"""The warehouse: what keeps its contract is written whole, what breaks it is not written at all."""

import math
from pathlib import Path

import pytest
from chispa import assert_df_equality
from deltalake import DeltaTable
from pyspark.sql import DataFrame, SparkSession

from freshet.contracts import USER_SCORES
from freshet.core.errors import ContractError, StateError
from freshet.tables.warehouse import Warehouse
from tests.factories import frame

pytestmark = pytest.mark.delta

FIRST, SECOND = "2020-01-01", "2020-02-01"


def scores(spark: SparkSession, *rows: tuple[str, str, float | None]) -> DataFrame:
    """Rows (as_of, user, probability) of USER_SCORES."""
    named = [{"as_of": day, "user_id": user, "purchase_probability": value} for day, user, value in rows]
    return frame(spark, USER_SCORES, named)


def stored(warehouse: Warehouse, version: int | None = None) -> list[tuple[str, str, float]]:
    rows = warehouse.read(USER_SCORES, version).orderBy("as_of", "user_id").collect()
    return [(f"{row.as_of:%Y-%m-%d}", row.user_id, row.purchase_probability) for row in rows]


def test_repeated_replace_leaves_the_same_table_and_older_versions_can_be_read(
    spark: SparkSession, warehouse: Warehouse
) -> None:
    assert (warehouse.exists(USER_SCORES), warehouse.version(USER_SCORES)) == (False, -1)
    rows = scores(spark, (FIRST, "a", 0.25), (FIRST, "b", 1.0))
    warehouse.replace(rows, USER_SCORES)
    once = warehouse.version(USER_SCORES)
    warehouse.replace(rows, USER_SCORES)
    assert warehouse.version(USER_SCORES) == once + 1
    assert_df_equality(warehouse.read(USER_SCORES), rows, ignore_row_order=True)
    warehouse.append(scores(spark, (SECOND, "a", 0.5)), USER_SCORES)
    assert stored(warehouse) == [(FIRST, "a", 0.25), (FIRST, "b", 1.0), (SECOND, "a", 0.5)]
    assert stored(warehouse, once) == [(FIRST, "a", 0.25), (FIRST, "b", 1.0)]


def test_replace_where_touches_only_its_rows_and_refuses_others(spark: SparkSession, warehouse: Warehouse) -> None:
    second_only = f"as_of = timestamp'{SECOND} 00:00:00'"
    warehouse.replace(scores(spark, (FIRST, "a", 0.1), (SECOND, "a", 0.2), (SECOND, "b", 0.3)), USER_SCORES)
    warehouse.replace(scores(spark, (SECOND, "c", 0.4)), USER_SCORES, where=second_only)
    wanted = [(FIRST, "a", 0.1), (SECOND, "c", 0.4)]
    assert stored(warehouse) == wanted
    with pytest.raises(ContractError, match="rows outside the condition"):
        warehouse.replace(scores(spark, (FIRST, "z", 0.5), (SECOND, "z", 0.5)), USER_SCORES, where=second_only)
    assert stored(warehouse) == wanted


def test_broken_rows_stop_the_commit_and_are_listed_together(spark: SparkSession, warehouse: Warehouse) -> None:
    warehouse.replace(scores(spark, (FIRST, "a", 0.1)), USER_SCORES)
    before = warehouse.version(USER_SCORES)
    broken = scores(spark, (FIRST, "b", 1.5), (FIRST, "c", math.nan), (FIRST, "d", None), *[(FIRST, "e", 0.5)] * 2)
    for write in (warehouse.replace, warehouse.append):
        with pytest.raises(ContractError) as caught:
            write(broken, USER_SCORES)
        assert caught.value.what == (
            "2 problems: (1) purchase_probability must be not null, 0 to 1: 3 rows break this; "
            "(2) key (as_of, user_id) must be unique: 1 keys are repeated"
        )
        assert caught.value.where == "table user_scores"
    assert (warehouse.version(USER_SCORES), stored(warehouse)) == (before, [(FIRST, "a", 0.1)])


def test_a_repeated_key_alone_stops_the_commit(spark: SparkSession, warehouse: Warehouse) -> None:
    with pytest.raises(ContractError, match=r"key \(as_of, user_id\) must be unique: 1 keys"):
        warehouse.replace(scores(spark, (FIRST, "a", 0.1), (FIRST, "a", 0.2)), USER_SCORES)
    assert not warehouse.exists(USER_SCORES)


def test_a_frame_of_other_columns_is_refused_before_anything_runs(spark: SparkSession, warehouse: Warehouse) -> None:
    wrong = scores(spark, (FIRST, "a", 0.1)).drop("horizon_days").withColumnRenamed("user_id", "user")
    with pytest.raises(ContractError) as caught:
        warehouse.replace(wrong, USER_SCORES)
    assert caught.value.what.startswith("3 problems: ")
    assert not warehouse.exists(USER_SCORES)


def test_a_table_changed_by_hand_is_refused_for_reading_and_writing(spark: SparkSession, warehouse: Warehouse) -> None:
    rows = scores(spark, (FIRST, "a", 0.1))
    warehouse.replace(rows, USER_SCORES)
    spark.sql(f"ALTER TABLE delta.`{warehouse.path(USER_SCORES)}` ADD COLUMN (mood STRING)")
    before = warehouse.version(USER_SCORES)
    for use in (lambda: warehouse.read(USER_SCORES), lambda: warehouse.append(rows, USER_SCORES)):
        with pytest.raises(ContractError, match="column mood is not in the contract"):
            use()
    assert warehouse.version(USER_SCORES) == before


def test_an_absent_table_and_the_rest_of_a_killed_creation_count_as_no_table(
    spark: SparkSession, warehouse: Warehouse
) -> None:
    with pytest.raises(StateError, match="table user_scores: the table does not exist yet"):
        warehouse.read(USER_SCORES)
    (warehouse.folder / "user_scores" / "_delta_log").mkdir(parents=True)
    assert (warehouse.exists(USER_SCORES), warehouse.version(USER_SCORES)) == (False, -1)
    warehouse.replace(scores(spark, (FIRST, "a", 0.1)), USER_SCORES)
    assert stored(warehouse) == [(FIRST, "a", 0.1)]


def test_comments_and_partitions_of_the_contract_survive_writes_in_an_odd_folder(
    spark: SparkSession, tmp_path: Path
) -> None:
    warehouse = Warehouse(spark, tmp_path / "my `odd` folder's")
    warehouse.replace(scores(spark, (FIRST, "a", 0.1)), USER_SCORES)
    table = DeltaTable(warehouse.path(USER_SCORES))
    comments = {field.name: field.metadata.get("comment") for field in table.schema().fields}
    assert comments == {field.name: field.metadata["comment"] for field in USER_SCORES.schema}
    assert "[probability]" in comments["purchase_probability"]
    assert table.metadata().partition_columns == list(USER_SCORES.partition_by)
