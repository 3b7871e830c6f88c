"""One micro-batch at a time: what is written, once, with which clock."""

import dataclasses
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from freshet.contracts import RECOMMENDATION_UPDATES, STREAM_METRICS
from freshet.storage.tables import Warehouse
from freshet.streaming.histories import arrival, stream_events, touched_histories
from freshet.streaming.made_lists import ServedModel
from freshet.streaming.micro_batch import ListMaking, ListUpdates
from tests.factories import Row, event, events_frame, moment
from tests.streaming.scenario import (
    CUT,
    MODEL,
    WALL,
    figures_of,
    history_lists,
    history_lists_at_hand,
    list_updates,
    lists_of,
)

pytestmark = pytest.mark.streaming


@pytest.fixture(scope="module")
def tables(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """Both tables; each test is a query of its own in them."""
    warehouse = Warehouse(spark, tmp_path_factory.mktemp("micro_batches"))
    for contract in (RECOMMENDATION_UPDATES, STREAM_METRICS):
        warehouse.create(contract)
    return warehouse


@pytest.fixture
def query(request: pytest.FixtureRequest) -> str:
    return str(request.node.name)


both_ways = pytest.mark.parametrize("at_hand", [False, True], ids=["by Spark", "at hand"])


def touched(spark: SparkSession, *rows: Row) -> DataFrame:
    return touched_histories(stream_events(events_frame(spark, list(rows)), live=arrival() >= F.lit(CUT)), max_events=3)


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


@both_ways
def test_lists_and_figures_of_a_micro_batch(spark: SparkSession, tables: Warehouse, query: str, at_hand: bool) -> None:
    batch = touched(
        spark,
        event(user="ann", item="a1", at="2020-02-01 12:00", received="2020-02-01 13:00"),
        event(user="ann", item="new1", at="2020-02-01"),
        event(user="old", item="b1", at="2020-01-31"),
    )
    list_updates(tables.folder, query, at_hand=at_hand)(batch, 7)
    noon = moment("2020-02-01 12:00")
    made = {"query_id": query, "batch_id": 7, "event_clock": noon, "model_version": "1.0"}
    caused_by = {"caused_by_event_time": noon, "caused_by_received_time": moment("2020-02-01 13:00")}
    assert lists_of(tables, query) == [
        {
            "user_id": "ann",
            **made,
            "generation": 1,
            "source": "stream",
            "items": [("a1", 0.0), ("new1", 0.5)],
            "epoch": 0,
            **caused_by,
        }
    ]
    # Two shoppers were touched; the one whose newest event lies before the live window keeps the batch's list.
    nothing = dict.fromkeys(("input", "accepted", "quarantined", "state_shoppers", "latency_p50_s", "latency_p95_s"))
    counted = {"job": "lists", "touched_shoppers": 2, "lists": 1, "unknown_items": 1}
    assert figures_of(tables, query) == [{**made, **counted, **nothing}]


@both_ways
def test_latency_of_live_lists_is_the_time_since_receipt(
    spark: SparkSession, tables: Warehouse, query: str, at_hand: bool
) -> None:
    seconds = (60, 10, 30)
    batch = touched(
        spark,
        event(user="old", at="2020-01-31"),
        *[event(user=f"u{n}", at="2020-02-20", received=WALL - timedelta(seconds=n)) for n in seconds],
    )
    in_memory = history_lists_at_hand if at_hand else None
    making = ListMaking(history_lists, lambda: MODEL, 4, 1000, lambda: WALL, is_live=True, scorer_at_hand=in_memory)
    ListUpdates(tables.folder, query, making)(batch, 0)
    row = figures_of(tables, query)[0]
    assert (row["latency_p50_s"], row["latency_p95_s"]) == (30.0, 60.0)


@both_ways
def test_same_micro_batch_twice_writes_once(spark: SparkSession, tables: Warehouse, query: str, at_hand: bool) -> None:
    batch = touched(spark, event(user="ann", at="2020-02-01"))
    list_updates(tables.folder, query, at_hand=at_hand)(batch, 0)
    written, before = versions(tables), (lists_of(tables, query), figures_of(tables, query))
    list_updates(tables.folder, query, at_hand=at_hand)(batch, 0)
    assert versions(tables) == written
    assert (lists_of(tables, query), figures_of(tables, query)) == before


@both_ways
def test_figures_lost_in_a_crash_are_written_by_the_repeat(
    spark: SparkSession, tables: Warehouse, query: str, at_hand: bool
) -> None:
    batch = touched(spark, event(user="ann", item="new1", at="2020-02-01"))
    list_updates(tables.folder, query, at_hand=at_hand)(batch, 0)
    before = lists_of(tables, query), figures_of(tables, query)
    DeltaTable(tables.path(STREAM_METRICS)).delete(f"query_id = '{query}'")
    list_updates(tables.folder, query, at_hand=at_hand)(batch, 0)
    assert (lists_of(tables, query), figures_of(tables, query)) == before


@both_ways
def test_event_clock_never_goes_back_also_across_a_restart(
    spark: SparkSession, tables: Warehouse, query: str, at_hand: bool
) -> None:
    first = list_updates(tables.folder, query, at_hand=at_hand)
    first(touched(spark, event(user="ann", item="a", at="2020-02-05")), 0)
    first(touched(spark, event(user="bob", item="b", at="2020-02-03")), 1)
    # A new process knows the clock from the table only, and never from the batch it repeats.
    again = list_updates(tables.folder, query, at_hand=at_hand)
    again(touched(spark, event(user="bob", item="b", at="2020-02-03")), 1)
    again(touched(spark, event(user="cat", item="c", at="2020-02-04")), 2)
    assert [row["event_clock"] for row in figures_of(tables, query)] == [moment("2020-02-05")] * 3
    assert [row["items"] for row in lists_of(tables, query)] == [[("a", 0.0)], [("b", 2.0)], [("c", 1.0)]]


def test_empty_micro_batch_writes_nothing(spark: SparkSession, tables: Warehouse, query: str) -> None:
    written = versions(tables)
    list_updates(tables.folder, query)(touched(spark).limit(0), 3)
    assert versions(tables) == written


def test_one_model_makes_all_of_a_micro_batch(spark: SparkSession, tables: Warehouse, query: str) -> None:
    asked: list[int] = []

    def model() -> ServedModel:
        asked.append(1)
        return ServedModel(f"{len(asked)}.0", len(asked), Path("unused"), "next_baskets")

    updates = list_updates(tables.folder, query, model=model)
    for batch_id in range(2):
        updates(touched(spark, event(user="ann", at="2020-02-01"), event(user="bob", at="2020-02-01")), batch_id)
    assert [(row["generation"], row["model_version"]) for row in lists_of(tables, query)] == [
        (1, "1.0"), (1, "1.0"), (2, "2.0"), (2, "2.0")
    ]  # fmt: skip
    assert [row["model_version"] for row in figures_of(tables, query)] == ["1.0", "2.0"]


def test_lists_written_by_spark_equal_those_that_pass_through_the_driver(
    spark: SparkSession, tables: Warehouse, query: str
) -> None:
    batch = touched(
        spark, event(user="ann", item="a", at="2020-02-01"), event(user="bob", item="new1", at="2020-02-02")
    )
    list_updates(tables.folder, query, most_collected=1)(batch, 0)
    list_updates(tables.folder, query, most_collected=2)(batch, 1)
    list_updates(tables.folder, query, at_hand=True)(batch, 2)
    lists = lists_of(tables, query)
    for number in (1, 2):
        assert [{**row, "batch_id": number} for row in lists[:2]] == lists[2 * number : 2 * number + 2]
    assert [row["unknown_items"] for row in figures_of(tables, query)] == [1, 1, 1]


@both_ways
def test_sessions_that_log_in_are_handed_on_and_get_no_list(
    spark: SparkSession, tables: Warehouse, query: str, at_hand: bool
) -> None:
    batch = touched(
        spark,
        event(user=None, anonymous_id="x", item="a", at="2020-02-01", event_id="e1"),
        event(user="ann", anonymous_id="x", item="b", at="2020-02-02", event_id="e2"),
    )
    given: list[Any] = []

    def join(rows: DataFrame, batch_id: int) -> None:
        found = [row.asDict(recursive=True) for row in rows.collect()]
        given.extend(
            (batch_id, row["user_id"], row["login"]["customer"], [e["item_id"] for e in row["joins"]]) for row in found
        )

    updates = list_updates(tables.folder, query, at_hand=at_hand)
    updates.making = dataclasses.replace(updates.making, join=join)
    updates(batch, 3)
    assert given == [(3, "anon:x", "ann", ["a"])]
    assert [row["user_id"] for row in lists_of(tables, query)] == ["ann"]


def test_failed_scoring_writes_nothing_and_is_kept(spark: SparkSession, tables: Warehouse, query: str) -> None:
    def failing(histories: DataFrame, **options: Any) -> DataFrame:
        raise RuntimeError("no such artifact")

    written = versions(tables)
    updates = list_updates(tables.folder, query, scorer=failing)
    with pytest.raises(RuntimeError, match="no such artifact"):
        updates(touched(spark, event(user="ann", at="2020-02-01")), 0)
    assert isinstance(updates.failure, RuntimeError)
    assert versions(tables) == written


def test_scorer_gets_artifact_length_and_policy_of_the_model(
    spark: SparkSession, tables: Warehouse, query: str
) -> None:
    given: dict[str, Any] = {}

    def noting(histories: DataFrame, *, artifact: Path, clock: datetime, length: int, policy: str) -> DataFrame:
        given.update(artifact=artifact, clock=clock, length=length, policy=policy, columns=histories.columns)
        return history_lists(histories, artifact=artifact, clock=clock, length=length, policy=policy)

    list_updates(tables.folder, query, scorer=noting)(touched(spark, event(user="ann", at="2020-02-01")), 0)
    assert given == {
        "artifact": MODEL.artifact,
        "clock": moment("2020-02-01"),
        "length": 4,
        "policy": MODEL.policy,
        "columns": ["user_id", "history", "newest_event_time", "newest_received_time"],
    }
