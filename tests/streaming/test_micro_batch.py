"""One micro-batch at a time: what is written, once, with which clock."""

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from freshet.contracts import RECOMMENDATION_UPDATES, STREAM_METRICS
from freshet.storage.tables import Warehouse
from freshet.streaming.histories import stream_events, touched_histories
from freshet.streaming.micro_batch import ServedModel
from tests.factories import Row, event, events_frame, moment
from tests.streaming.scenario import MODEL, figures_of, history_lists, list_updates, lists_of

pytestmark = pytest.mark.streaming


@pytest.fixture
def tables(warehouse: Warehouse) -> Warehouse:
    for contract in (RECOMMENDATION_UPDATES, STREAM_METRICS):
        warehouse.create(contract)
    return warehouse


def touched(spark: SparkSession, *rows: Row) -> DataFrame:
    return touched_histories(stream_events(events_frame(spark, list(rows))), max_events=3)


def versions(warehouse: Warehouse) -> tuple[int, int]:
    return warehouse.version(RECOMMENDATION_UPDATES), warehouse.version(STREAM_METRICS)


def test_history_is_the_newest_events_in_order_of_time_whatever_the_order_of_arrival(spark: SparkSession) -> None:
    rows = [
        event(user="ann", item="i3", at="2020-02-03", event_id="x"),
        event(user="ann", item="i1", at="2020-02-01", event_id="x1"),
        event(user="ann", item="i4", at="2020-02-03", event_id="y"),
        event(user="ann", item="i2", at="2020-02-02", event_id="x2", received="2020-02-05"),
    ]
    for order in (rows, rows[::-1]):
        row = touched(spark, *order).first()
        assert row is not None
        assert [entry["item_id"] for entry in row["history"]] == ["i4", "i3", "i2"]
        assert (row["newest_event_time"], row["newest_received_time"]) == (moment("2020-02-03"), moment("2020-02-05"))


def test_lists_and_figures_of_a_micro_batch(spark: SparkSession, tables: Warehouse) -> None:
    batch = touched(
        spark,
        event(user="ann", item="a1", at="2020-02-01 12:00", received="2020-02-01 13:00"),
        event(user="ann", item="new1", at="2020-02-01"),
        event(user="old", item="b1", at="2020-01-31"),
    )
    list_updates(tables.folder)(batch, 7)
    assert lists_of(tables) == [
        ("ann", "q1", 7, moment("2020-02-01 12:00"), 1, "1.0", "stream", moment("2020-02-01 12:00"),
         moment("2020-02-01 13:00"), [("a1", 0.0), ("new1", 0.5)])
    ]  # fmt: skip
    # Two shoppers were touched; the one whose newest event lies before the live window keeps the batch's list.
    assert figures_of(tables) == [("q1", 7, moment("2020-02-01 12:00"), 2, 1, 1, "1.0")]


def test_same_micro_batch_twice_writes_once(spark: SparkSession, tables: Warehouse) -> None:
    batch = touched(spark, event(user="ann", at="2020-02-01"))
    list_updates(tables.folder)(batch, 0)
    written, before = versions(tables), (lists_of(tables), figures_of(tables))
    list_updates(tables.folder)(batch, 0)
    assert versions(tables) == written
    assert (lists_of(tables), figures_of(tables)) == before


def test_figures_lost_in_a_crash_are_written_by_the_repeat(spark: SparkSession, tables: Warehouse) -> None:
    batch = touched(spark, event(user="ann", item="new1", at="2020-02-01"))
    list_updates(tables.folder)(batch, 0)
    before = lists_of(tables), figures_of(tables)
    spark.sql(f"DELETE FROM delta.`{tables.path(STREAM_METRICS)}`")
    list_updates(tables.folder)(batch, 0)
    assert (lists_of(tables), figures_of(tables)) == before


def test_event_clock_never_goes_back_also_across_a_restart(spark: SparkSession, tables: Warehouse) -> None:
    first = list_updates(tables.folder)
    first(touched(spark, event(user="ann", item="a", at="2020-02-05")), 0)
    first(touched(spark, event(user="bob", item="b", at="2020-02-03")), 1)
    # A new process knows the clock from the table only, and never from the batch it repeats.
    again = list_updates(tables.folder)
    again(touched(spark, event(user="bob", item="b", at="2020-02-03")), 1)
    again(touched(spark, event(user="cat", item="c", at="2020-02-04")), 2)
    assert [row[2] for row in figures_of(tables)] == [moment("2020-02-05")] * 3
    assert [row[-1] for row in lists_of(tables)] == [[("a", 0.0)], [("b", 2.0)], [("c", 1.0)]]


def test_empty_micro_batch_writes_nothing(spark: SparkSession, tables: Warehouse) -> None:
    written = versions(tables)
    list_updates(tables.folder)(touched(spark).limit(0), 3)
    assert versions(tables) == written


def test_one_model_makes_all_of_a_micro_batch(spark: SparkSession, tables: Warehouse) -> None:
    asked: list[int] = []

    def model() -> ServedModel:
        asked.append(1)
        return ServedModel(f"{len(asked)}.0", len(asked), Path("unused"), "next_baskets")

    updates = list_updates(tables.folder, model=model)
    for batch_id in range(2):
        updates(touched(spark, event(user="ann", at="2020-02-01"), event(user="bob", at="2020-02-01")), batch_id)
    assert [row[4:6] for row in lists_of(tables)] == [(1, "1.0"), (1, "1.0"), (2, "2.0"), (2, "2.0")]
    assert [row[-1] for row in figures_of(tables)] == ["1.0", "2.0"]


def test_lists_written_by_spark_equal_those_that_pass_through_the_driver(spark: SparkSession, tables: Warehouse) -> None:
    batch = touched(spark, event(user="ann", item="a", at="2020-02-01"), event(user="bob", item="new1", at="2020-02-02"))
    list_updates(tables.folder, most_collected=1)(batch, 0)
    list_updates(tables.folder, most_collected=2)(batch, 1)
    by_spark, by_driver = lists_of(tables)[:2], lists_of(tables)[2:]
    assert [(*row[:2], *row[3:]) for row in by_spark] == [(*row[:2], *row[3:]) for row in by_driver]
    assert [row[5] for row in figures_of(tables)] == [1, 1]


def test_failed_scoring_writes_nothing_and_is_kept(spark: SparkSession, tables: Warehouse) -> None:
    def failing(histories: DataFrame, **options: Any) -> DataFrame:
        raise RuntimeError("no such artifact")

    written = versions(tables)
    updates = list_updates(tables.folder, scorer=failing)
    with pytest.raises(RuntimeError, match="no such artifact"):
        updates(touched(spark, event(user="ann", at="2020-02-01")), 0)
    assert isinstance(updates.failure, RuntimeError)
    assert versions(tables) == written


def test_scorer_gets_artifact_length_and_policy_of_the_model(spark: SparkSession, tables: Warehouse) -> None:
    given: dict[str, Any] = {}

    def noting(histories: DataFrame, *, artifact: Path, clock: datetime, length: int, policy: str) -> DataFrame:
        given.update(artifact=artifact, clock=clock, length=length, policy=policy, columns=histories.columns)
        return history_lists(histories, artifact=artifact, clock=clock, length=length, policy=policy)

    list_updates(tables.folder, scorer=noting)(touched(spark, event(user="ann", at="2020-02-01")), 0)
    assert given == {
        "artifact": MODEL.artifact,
        "clock": moment("2020-02-01"),
        "length": 4,
        "policy": MODEL.policy,
        "columns": ["user_id", "history"],
    }
