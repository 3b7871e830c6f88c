"""The newest list of a shopper: one SQL text, three engines, one answer."""

from typing import Any

import duckdb
import polars as pl
import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from freshet.contracts import RECOMMENDATION_UPDATES, RECOMMENDATIONS
from freshet.service.lists.latest import LATEST_RECOMMENDATIONS, latest_recommendations
from freshet.tables.warehouse import Warehouse
from tests.factories import Row, frame, moment

pytestmark = pytest.mark.streaming

CUT = "2020-02-01"


def batch_list(user: str, item: str, generation: int = 1, clock: str = CUT) -> Row:
    return {**_list(user, item, generation, clock), "source": "batch"}


def stream_list(user: str, item: str, clock: str, query: str = "q1", batch: int = 0, generation: int = 1) -> Row:
    placed = {"query_id": query, "batch_id": batch, "source": "stream"}
    return {**_list(user, item, generation, clock), **placed}


def _list(user: str, item: str, generation: int, clock: str) -> Row:
    items = [{"position": 1, "item_id": item, "score": 1.0, "reason": "taste"}]
    return {"user_id": user, "generation": generation, "event_clock": clock, "items": items}


BATCH = [
    batch_list("untouched", "batch"),
    batch_list("touched", "batch"),
    batch_list("promoted", "new model", generation=2),
    batch_list("same clock", "batch"),
]
STREAM = [
    stream_list("touched", "first", "2020-02-02", batch=1),
    stream_list("touched", "second", "2020-02-03", batch=2),
    # A late row of the old model is newer by its clock, and still does not cover the new model's list.
    stream_list("promoted", "old model", "2020-02-09", batch=9),
    stream_list("same clock", "stream", CUT, batch=3),
    stream_list("newcomer", "by q1", "2020-02-02", query="q1", batch=8),
    stream_list("newcomer", "by q2, 9", "2020-02-02", query="q2", batch=9),
    # As a number 10 follows 9, as a text it would not.
    stream_list("newcomer", "by q2, 10", "2020-02-02", query="q2", batch=10),
]
EXPECTED = {
    "untouched": "batch",
    "touched": "second",
    "promoted": "new model",
    "same clock": "stream",
    "newcomer": "by q2, 10",
}


def test_latest_is_the_same_in_spark_duckdb_and_polars(spark: SparkSession, warehouse: Warehouse) -> None:
    warehouse.replace(frame(spark, RECOMMENDATIONS, BATCH), RECOMMENDATIONS)
    warehouse.replace(frame(spark, RECOMMENDATION_UPDATES, STREAM), RECOMMENDATION_UPDATES)
    by_spark = latest_recommendations(warehouse.read(RECOMMENDATIONS), warehouse.read(RECOMMENDATION_UPDATES))
    assert by_spark.columns == RECOMMENDATIONS.column_names
    assert {row["user_id"]: row["items"][0]["item_id"] for row in by_spark.collect()} == EXPECTED

    tables = {
        contract.name: DeltaTable(warehouse.path(contract)).to_pyarrow_table()
        for contract in (RECOMMENDATIONS, RECOMMENDATION_UPDATES)
    }
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    for name, table in tables.items():
        connection.register(name, table)
    by_duckdb = connection.sql(LATEST_RECOMMENDATIONS).to_arrow_table()
    frames = {name: pl.DataFrame(pl.from_arrow(table)) for name, table in tables.items()}
    by_polars = pl.SQLContext(frames, eager=True).execute(LATEST_RECOMMENDATIONS)
    answers = [_plain(by_spark.toArrow().to_pylist()), _plain(by_duckdb.to_pylist()), _plain(by_polars.to_dicts())]
    assert answers[0] == answers[1] == answers[2]


def test_latest_of_empty_tables_is_empty(spark: SparkSession) -> None:
    empty = latest_recommendations(frame(spark, RECOMMENDATIONS, []), frame(spark, RECOMMENDATION_UPDATES, []))
    assert empty.collect() == []


def _plain(rows: list[Row]) -> list[dict[str, Any]]:
    """Rows in order of the shopper, times without their zone: engines name UTC differently."""
    cut = {"generated_at", "event_clock"}
    assert rows[0]["event_clock"].replace(tzinfo=None) >= moment(CUT)
    plain = [{key: value.replace(tzinfo=None) if key in cut else value for key, value in row.items()} for row in rows]
    return sorted(plain, key=lambda row: row["user_id"])
