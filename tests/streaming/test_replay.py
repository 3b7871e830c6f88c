"""Whole replays: through real checkpoints, killed and started again."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession
from pyspark.sql.pandas.types import to_arrow_schema

from freshet.contracts import RECOMMENDATION_UPDATES, STREAM_METRICS
from freshet.core.errors import DataTooSmallError
from freshet.runs.home import Home
from freshet.runs.steps import REPLAY
from freshet.tables.small_writes import append_arrow
from freshet.tables.warehouse import Warehouse
from tests.factories import moment
from tests.streaming.scenario import (
    figures_of,
    history_lists,
    lists_of,
    newest_items,
    plan,
    replay,
    tables_of,
    with_events,
)
from tests.streaming.test_compaction import Shop

pytestmark = pytest.mark.streaming

REPOSITORY = Path(__file__).parents[2]
QUERY = "live-f1"


@pytest.fixture(scope="module")
def whole(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, Warehouse]:
    """A home with a replay that ran through without a stop."""
    home = Home(tmp_path_factory.mktemp("whole")).prepare()
    warehouse = with_events(spark, Warehouse(spark, home.warehouse))
    replay(home, warehouse, plan())
    return home, warehouse


def test_the_lists_of_a_service_are_not_removed_by_a_replay(
    spark: SparkSession, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop(spark, home)
    shop.batch()
    monkeypatch.setattr("freshet.pipeline.replay.champion", MagicMock())
    with pytest.raises(DataTooSmallError, match="this home has lists or figures of a service"):
        REPLAY.work(MagicMock(warehouse=shop.warehouse), "f1")
    assert shop.warehouse.read(RECOMMENDATION_UPDATES).count() == 6


def test_the_figures_of_a_service_without_lists_are_not_removed_by_a_replay(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse.create(STREAM_METRICS)
    counts = {"touched_shoppers": 0, "lists": 0, "unknown_items": 0, "seconds": 0.1}
    row = {"query_id": "events-q", "batch_id": 0, "job": "events", "finished_at": moment("2020-02-01"), **counts}
    schema = to_arrow_schema(STREAM_METRICS.schema, timezone="UTC")
    append_arrow(warehouse, pa.Table.from_pylist([row], schema=schema), STREAM_METRICS)
    monkeypatch.setattr("freshet.pipeline.replay.champion", MagicMock())
    with pytest.raises(DataTooSmallError, match="this home has lists or figures of a service"):
        REPLAY.work(MagicMock(warehouse=warehouse), "f1")


def test_replay_lists_whole_histories_as_they_were_known(whole: tuple[Home, Warehouse]) -> None:
    lists, figures = tables_of(whole[1], QUERY)
    assert [(row["user_id"], row["batch_id"], [item for item, _ in row["items"]]) for row in lists] == [
        ("ann", 0, ["a3", "a2", "a1"]),
        ("cat", 0, ["c2", "new1"]),
        # Days late, it takes its place by event time, and the oldest of three leaves.
        ("ann", 1, ["a3", "late", "a2"]),
        ("cat", 1, ["c3", "c2", "new1"]),
    ]
    assert [row["event_clock"] for row in figures] == [moment("2020-02-02 12:00"), moment("2020-02-04 17:00")]
    counts = [(row["touched_shoppers"], row["lists"], row["unknown_items"]) for row in figures]
    assert counts == [(2, 2, 1), (2, 2, 1)]
    assert [row["state_shoppers"] for row in figures] == [3, 3]


def test_replay_that_has_ended_adds_nothing(whole: tuple[Home, Warehouse]) -> None:
    home, warehouse = whole
    written = warehouse.version(RECOMMENDATION_UPDATES), warehouse.version(STREAM_METRICS)
    report = replay(home, warehouse, plan())
    assert (warehouse.version(RECOMMENDATION_UPDATES), warehouse.version(STREAM_METRICS)) == written
    assert (report.batches, report.lists, report.unknown_items) == (2, 4, 2)
    assert report.event_clock == moment("2020-02-04 17:00")


@pytest.mark.parametrize("lost", [(), (STREAM_METRICS,), (RECOMMENDATION_UPDATES, STREAM_METRICS)])
def test_micro_batch_without_its_commit_is_repeated_to_the_same_tables(
    whole: tuple[Home, Warehouse], lost: tuple[Any, ...]
) -> None:
    home, warehouse = whole
    before = tables_of(warehouse, QUERY)
    commits = home.checkpoints / "live" / plan().fingerprint / "query" / "commits"
    newest = max((path for path in commits.iterdir() if path.name.isdigit()), key=lambda path: int(path.name))
    newest.unlink()
    (commits / f".{newest.name}.crc").unlink(missing_ok=True)
    for contract in lost:
        DeltaTable(warehouse.path(contract)).delete(f"batch_id = {newest.name}")
    replay(home, warehouse, plan())
    assert newest.exists()
    assert tables_of(warehouse, QUERY) == before


def test_many_micro_batches_end_with_the_lists_of_one(
    spark: SparkSession, whole: tuple[Home, Warehouse], home: Home, warehouse: Warehouse
) -> None:
    report = replay(home, with_events(spark, warehouse), plan(slice_hours=24.0 * 365))
    assert report.batches == 1
    one, many = lists_of(warehouse, QUERY), lists_of(whole[1], QUERY)
    assert len(one) == 2
    assert newest_items(one) == newest_items(many)


def test_error_in_a_micro_batch_comes_out_as_itself_and_the_next_start_goes_on(
    spark: SparkSession, whole: tuple[Home, Warehouse], home: Home, warehouse: Warehouse
) -> None:
    calls: list[int] = []

    def second_fails(*shoppers: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise DataTooSmallError("the model is gone")
        return history_lists(*shoppers, **options)

    with_events(spark, warehouse)
    with pytest.raises(DataTooSmallError, match="the model is gone"):
        replay(home, warehouse, plan(), scorer=second_fails)
    assert 0 < len(lists_of(warehouse, QUERY)) < len(lists_of(whole[1], QUERY))
    replay(home, warehouse, plan())
    assert tables_of(warehouse, QUERY) == tables_of(whole[1], QUERY)


def test_other_fingerprint_starts_over(spark: SparkSession, home: Home, warehouse: Warehouse) -> None:
    with_events(spark, warehouse)
    for fingerprint in ("old", "new"):
        replay(home, warehouse, plan(fingerprint, slice_hours=24.0 * 365))
    assert tables_of(warehouse, "live-old") == ([], [])
    assert len(lists_of(warehouse, "live-new")) == 2
    assert len(figures_of(warehouse, "live-new")) == 1
    assert [path.name for path in (home.checkpoints / "live").iterdir()] == ["new"]


@pytest.mark.parametrize("look", [4])
def test_killed_replay_goes_on_to_the_tables_of_an_unbroken_one(
    spark: SparkSession, whole: tuple[Home, Warehouse], home: Home, warehouse: Warehouse, look: int
) -> None:
    with_events(spark, warehouse)
    # Each micro-batch looks at the clock when it begins and when its lists are written: at the fourth look the second
    # one's lists are there and its figures are not.
    killed = subprocess.run(
        [sys.executable, "-m", "tests.streaming.killed_replay", str(home.root), str(look)],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": f"{REPOSITORY / 'lib'}{os.pathsep}{REPOSITORY}"},
        start_new_session=True,
        capture_output=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()[-2000:]
    assert (len(lists_of(warehouse, QUERY)), len(figures_of(warehouse, QUERY))) == (4, 1)
    replay(home, warehouse, plan())
    assert tables_of(warehouse, QUERY) == tables_of(whole[1], QUERY)
