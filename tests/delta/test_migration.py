"""Tables of another release of the product: widened where that loses nothing, else refused in one line."""

import dataclasses
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable, write_deltalake
from pyspark.sql import SparkSession
from pyspark.sql.pandas.types import to_arrow_schema

from freshet.contracts import EVENTS, STREAM_METRICS, TableContract
from freshet.core.errors import ContractError
from freshet.tables.format.columns import check_table_columns
from freshet.tables.lookups.snapshot import rows_where, some_rows
from freshet.tables.small_writes import append_row
from freshet.tables.warehouse import Warehouse
from tests.factories import frame

pytestmark = pytest.mark.delta


def without(*names: str) -> TableContract:
    """The contract of a release that did not have these columns."""
    columns = tuple(column for column in STREAM_METRICS.columns if column.name not in names)
    return dataclasses.replace(STREAM_METRICS, columns=columns)


def row(batch: int, **other: Any) -> dict[str, Any]:
    made = {"query_id": "q", "batch_id": batch, "job": "lists", "finished_at": datetime(2026, 1, 1, tzinfo=UTC),
            "touched_shoppers": 1, "lists": 1, "unknown_items": 0, "seconds": 1.0}  # fmt: skip
    return {**made, **other}


def made_by(warehouse: Warehouse, contract: TableContract) -> None:
    """The table as that release made and filled it."""
    warehouse.create(contract)
    append_row(warehouse, row(0), contract)


def test_a_column_that_takes_null_is_read_as_null_and_added_by_the_next_writer(warehouse: Warehouse) -> None:
    made_by(warehouse, without("state_shoppers", "model_version"))
    read = warehouse.read(STREAM_METRICS)
    assert read.columns == STREAM_METRICS.column_names
    assert read.first()["state_shoppers"] is None  # type: ignore[index]
    assert "state_shoppers" not in DeltaTable(warehouse.path(STREAM_METRICS)).to_pyarrow_table().column_names
    warehouse.create(STREAM_METRICS)
    append_row(warehouse, row(1, state_shoppers=5), STREAM_METRICS)
    found = {one["batch_id"]: one["state_shoppers"] for one in warehouse.read(STREAM_METRICS).collect()}
    assert found == {0: None, 1: 5}
    version = warehouse.version(STREAM_METRICS)
    warehouse.create(STREAM_METRICS)
    assert warehouse.version(STREAM_METRICS) == version


def test_a_look_without_spark_reads_null_too_and_steps_may_begin(warehouse: Warehouse) -> None:
    made_by(warehouse, without("state_shoppers"))
    check_table_columns(warehouse.folder, [STREAM_METRICS, EVENTS])
    (found,) = rows_where(warehouse.folder, STREAM_METRICS, "query_id", "q")
    assert (found["state_shoppers"], found["job"]) == (None, "lists")
    assert set(found) == set(STREAM_METRICS.column_names)
    named = ["job", "state_shoppers"]
    rows = some_rows(warehouse.folder, STREAM_METRICS, columns=named, where=pc.field("query_id") == "q", at_most=2)
    assert rows == [{"job": "lists", "state_shoppers": None}]


def test_a_write_of_spark_adds_the_column_too(spark: SparkSession, warehouse: Warehouse) -> None:
    made_by(warehouse, without("state_shoppers"))
    warehouse.append(frame(spark, STREAM_METRICS, [row(1, state_shoppers=3)]), STREAM_METRICS)
    assert warehouse.read(STREAM_METRICS).where("state_shoppers = 3").count() == 1


def test_a_column_that_may_not_be_null_cannot_be_made_up(warehouse: Warehouse) -> None:
    made_by(warehouse, without("job"))
    for use in (warehouse.read, warehouse.create):
        with pytest.raises(ContractError, match=r"column job .* is missing"):
            use(STREAM_METRICS)


def test_a_table_of_a_later_release_is_left_alone(warehouse: Warehouse) -> None:
    warehouse.create(STREAM_METRICS)
    schema = to_arrow_schema(STREAM_METRICS.schema, timezone="UTC").append(pa.field("of_the_future", pa.string()))
    later = pa.Table.from_pylist([row(0, of_the_future="x")], schema=schema)
    write_deltalake(warehouse.path(STREAM_METRICS), later, mode="append", schema_mode="merge")
    look = partial(rows_where, warehouse.folder, column="query_id", value="q")
    some = partial(some_rows, warehouse.folder, columns=["job"], where=pc.field("query_id") == "q", at_most=1)
    for use in (warehouse.read, warehouse.create, warehouse.require, look, some):
        with pytest.raises(ContractError, match="of_the_future is not in the contract"):
            use(STREAM_METRICS)
    with pytest.raises(ContractError, match="of_the_future is not in the contract"):
        check_table_columns(warehouse.folder, [STREAM_METRICS])
