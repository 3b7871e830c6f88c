"""One micro-batch at a time: what is written, once, with which clock."""

import dataclasses
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from pyspark.sql import DataFrame, SparkSession

from freshet.contracts import RECOMMENDATION_UPDATES, STREAM_METRICS
from freshet.ranking.histories.packed_histories import PackedHistories
from freshet.ranking.lists.shopper_lists import recommended_in_process
from freshet.service.lists.history_events import stream_events
from freshet.service.lists.list_making import ServedModel, warm_up
from freshet.tables.warehouse import Warehouse
from tests.factories import Row, event, events_frame, moment
from tests.stream_rows import HISTORY_EVENTS
from tests.streaming.scenario import (
    MODEL,
    WALL,
    figures_of,
    history_lists,
    list_updates,
    lists_of,
    newest_items,
)
from tests.streaming.service import shop_artifact

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


def of(spark: SparkSession, *rows: Row) -> DataFrame:
    """A micro-batch of these events."""
    return stream_events(events_frame(spark, list(rows)), HISTORY_EVENTS)


def versions(warehouse: Warehouse) -> tuple[int, int]:
    return warehouse.version(RECOMMENDATION_UPDATES), warehouse.version(STREAM_METRICS)


def test_lists_and_figures_of_a_micro_batch(spark: SparkSession, tables: Warehouse, query: str) -> None:
    batch = of(
        spark,
        event(user="ann", item="a1", at="2020-02-01 12:00", received="2020-02-01 13:00"),
        event(user="ann", item="new1", at="2020-02-01"),
        # Who logs in without a history has no list.
        event(user="bob", anonymous_id="x", item=None, at="2020-01-31"),
    )
    updates = list_updates(tables.folder, query)
    updates.store.note(batch=6)
    updates(batch, 7)
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
            "recommendation_id": "1.0-120000 ann",
            "propensities": [1.0, 1.0],
            "placements": None,
            "epoch": 0,
            **caused_by,
        }
    ]
    nothing = dict.fromkeys(("input", "accepted", "quarantined", "backlog", "latency_p50_s", "latency_p95_s"))
    counted = {"job": "lists", "touched_shoppers": 3, "lists": 1, "unknown_items": 1, "state_shoppers": 1}
    assert figures_of(tables, query) == [{**made, **counted, **nothing}]


def test_latency_of_live_lists_is_the_time_since_receipt(spark: SparkSession, tables: Warehouse, query: str) -> None:
    seconds = (60, 10, 30)
    batch = of(
        spark,
        *[event(user=f"u{n}", at="2020-02-20", received=WALL - timedelta(seconds=n)) for n in seconds],
    )
    updates = list_updates(tables.folder, query)
    updates.making = dataclasses.replace(updates.making, is_live=True)
    updates(batch, 0)
    row = figures_of(tables, query)[0]
    assert (row["latency_p50_s"], row["latency_p95_s"]) == (30.0, 60.0)


def test_same_micro_batch_twice_writes_once(spark: SparkSession, tables: Warehouse, query: str) -> None:
    batch = of(spark, event(user="ann", at="2020-02-01"))
    list_updates(tables.folder, query)(batch, 0)
    written, before = versions(tables), (lists_of(tables, query), figures_of(tables, query))
    list_updates(tables.folder, query)(batch, 0)
    assert versions(tables) == written
    assert (lists_of(tables, query), figures_of(tables, query)) == before


def test_figures_lost_in_a_crash_are_written_by_the_repeat(spark: SparkSession, tables: Warehouse, query: str) -> None:
    batch = of(spark, event(user="ann", item="new1", at="2020-02-01"))
    list_updates(tables.folder, query)(batch, 0)
    before = lists_of(tables, query), figures_of(tables, query)
    DeltaTable(tables.path(STREAM_METRICS)).delete(f"query_id = '{query}'")
    list_updates(tables.folder, query)(batch, 0)
    assert (lists_of(tables, query), figures_of(tables, query)) == before


def test_event_clock_never_goes_back_also_across_a_restart(spark: SparkSession, tables: Warehouse, query: str) -> None:
    first = list_updates(tables.folder, query)
    first(of(spark, event(user="ann", item="a", at="2020-02-05")), 0)
    first(of(spark, event(user="bob", item="b", at="2020-02-03")), 1)
    # A new process knows the clock from the store, in which the micro-batch it repeats is already.
    again = list_updates(tables.folder, query)
    again(of(spark, event(user="bob", item="b", at="2020-02-03")), 1)
    again(of(spark, event(user="cat", item="c", at="2020-02-04")), 2)
    assert [row["event_clock"] for row in figures_of(tables, query)] == [moment("2020-02-05")] * 3
    assert [row["items"] for row in lists_of(tables, query)] == [[("a", 0.0)], [("b", 2.0)], [("c", 1.0)]]


def test_empty_micro_batch_writes_nothing(spark: SparkSession, tables: Warehouse, query: str) -> None:
    written = versions(tables)
    list_updates(tables.folder, query)(of(spark), 0)
    assert versions(tables) == written


def test_one_model_makes_all_of_a_micro_batch(spark: SparkSession, tables: Warehouse, query: str) -> None:
    calls: list[int] = []

    def model() -> ServedModel:
        calls.append(1)
        return ServedModel(f"{len(calls)}.0", len(calls), Path("unused"), "next_baskets")

    updates = list_updates(tables.folder, query, model=model)
    for batch_id in range(2):
        updates(of(spark, event(user="ann", at="2020-02-01"), event(user="bob", at="2020-02-01")), batch_id)
    assert [(row["generation"], row["model_version"]) for row in lists_of(tables, query)] == [
        (1, "1.0"), (1, "1.0"), (2, "2.0"), (2, "2.0")
    ]  # fmt: skip
    assert [row["model_version"] for row in figures_of(tables, query)] == ["1.0", "2.0"]


def test_sessions_that_log_in_join_the_customer_and_get_no_list(
    spark: SparkSession, tables: Warehouse, query: str
) -> None:
    batch = of(
        spark,
        event(user=None, anonymous_id="x", item="a", at="2020-02-01", event_id="e1"),
        event(user="ann", anonymous_id="x", item="b", at="2020-02-02", event_id="e2"),
    )
    list_updates(tables.folder, query)(batch, 0)
    assert newest_items(lists_of(tables, query)) == {"ann": ["b", "a"]}


def test_failed_scoring_writes_nothing_and_is_kept(spark: SparkSession, tables: Warehouse, query: str) -> None:
    def failing(*shoppers: Any, **options: Any) -> Any:
        raise RuntimeError("no such artifact")

    written = versions(tables)
    updates = list_updates(tables.folder, query, scorer=failing)
    with pytest.raises(RuntimeError, match="no such artifact"):
        updates(of(spark, event(user="ann", at="2020-02-01")), 0)
    assert isinstance(updates.failure, RuntimeError)
    assert versions(tables) == written


def test_scorer_gets_artifact_length_and_policy_of_the_model(
    spark: SparkSession, tables: Warehouse, query: str
) -> None:
    given: dict[str, Any] = {}

    def noting(shoppers: pa.Table, histories: PackedHistories, **options: Any) -> pa.Table:
        given.update(options, columns=shoppers.column_names)
        return history_lists(shoppers, histories, **options)

    list_updates(tables.folder, query, scorer=noting)(of(spark, event(user="ann", at="2020-02-01")), 0)
    assert given == {
        "artifact": MODEL.artifact,
        "clock": moment("2020-02-01"),
        "length": 4,
        "policy": MODEL.policy,
        "columns": ["user_id", "newest_received_time", "newest_event_time"],
    }


def test_before_the_first_events_a_list_is_made_for_nobody_by_the_model_that_serves(tmp_path: Path) -> None:
    shop_artifact().save(tmp_path / "model")
    made: list[pa.Table] = []

    def scorer(shoppers: pa.Table, histories: PackedHistories, **given: Any) -> pa.Table:
        made.append(recommended_in_process(shoppers, histories, threads=1, **given))
        return made[-1]

    model = ServedModel("1.0", 1, tmp_path / "model", "next_baskets")
    warm_up(scorer, model, clock=moment("2020-02-01"), length=3)
    # The one item that was wanted leads the list, so the history was read.
    assert [item["item_id"] for item in made[0].column("items")[0].as_py()] == ["i0", "i1", "i2"]
    assert made[0].column("unknown_items").to_pylist() == [0]
