"""Whole replays: through real checkpoints, killed and started again."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from freshet.contracts import RECOMMENDATION_UPDATES, STREAM_METRICS
from freshet.errors import DataTooSmallError
from freshet.storage.home import Home
from freshet.storage.tables import Warehouse
from tests.factories import moment
from tests.streaming.scenario import (
    MODEL,
    figures_of,
    history_lists,
    lists_of,
    newest_lists,
    plan,
    replay,
    with_events,
)

pytestmark = pytest.mark.streaming

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def whole(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, Warehouse]:
    """A home with a replay that ran through without a stop."""
    home = Home(tmp_path_factory.mktemp("whole")).prepare()
    warehouse = with_events(spark, Warehouse(spark, home.warehouse))
    replay(home, warehouse, plan())
    return home, warehouse


def tables_of(warehouse: Warehouse) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    return lists_of(warehouse), figures_of(warehouse)


def test_replay_lists_whole_histories_as_they_were_known(whole: tuple[Home, Warehouse]) -> None:
    lists, figures = tables_of(whole[1])
    assert [(row[0], row[2], row[3], [item for item, _ in row[-1]]) for row in lists] == [
        ("ann", 1, moment("2020-02-01 10:00"), ["a3", "a2", "a1"]),
        ("cat", 2, moment("2020-02-02 12:00"), ["c2", "new1"]),
        # Two days late, it takes its place by event time, and the oldest of three leaves.
        ("ann", 3, moment("2020-02-02 12:00"), ["a3", "late", "a2"]),
        ("cat", 4, moment("2020-02-04 17:00"), ["c3", "c2", "new1"]),
    ]
    assert [row[3:6] for row in figures] == [(2, 0, 0), (1, 1, 0), (1, 1, 1), (1, 1, 0), (1, 1, 1)]


def test_replay_that_has_ended_adds_nothing(whole: tuple[Home, Warehouse]) -> None:
    home, warehouse = whole
    written = warehouse.version(RECOMMENDATION_UPDATES), warehouse.version(STREAM_METRICS)
    report = replay(home, warehouse, plan())
    assert (warehouse.version(RECOMMENDATION_UPDATES), warehouse.version(STREAM_METRICS)) == written
    assert (report.batches, report.lists, report.unknown_items) == (4, 4, 2)
    assert report.event_clock == moment("2020-02-04 17:00")


@pytest.mark.parametrize("lost", [(), (STREAM_METRICS,), (RECOMMENDATION_UPDATES, STREAM_METRICS)])
def test_micro_batch_without_its_commit_is_repeated_to_the_same_tables(
    spark: SparkSession, whole: tuple[Home, Warehouse], lost: tuple[Any, ...]
) -> None:
    home, warehouse = whole
    before = tables_of(warehouse)
    commits = home.checkpoints / "live" / plan().fingerprint / "query" / "commits"
    newest = max((path for path in commits.iterdir() if path.name.isdigit()), key=lambda path: int(path.name))
    newest.unlink()
    (commits / f".{newest.name}.crc").unlink(missing_ok=True)
    for contract in lost:
        spark.sql(f"DELETE FROM delta.`{warehouse.path(contract)}` WHERE batch_id = {newest.name}")
    replay(home, warehouse, plan())
    assert newest.exists()
    assert tables_of(warehouse) == before


def test_many_micro_batches_end_with_the_lists_of_one(
    spark: SparkSession, whole: tuple[Home, Warehouse], home: Home, warehouse: Warehouse
) -> None:
    report = replay(home, with_events(spark, warehouse), plan(slice_hours=24.0 * 365))
    assert report.batches == 1
    assert newest_lists(warehouse) == newest_lists(whole[1]) == {
        "ann": ["a3", "late", "a2"],
        "cat": ["c3", "c2", "new1"],
    }  # fmt: skip


def test_error_in_a_micro_batch_comes_out_as_itself_and_the_next_start_goes_on(
    spark: SparkSession, whole: tuple[Home, Warehouse], home: Home, warehouse: Warehouse
) -> None:
    calls: list[int] = []

    def third_fails(histories: DataFrame, **options: Any) -> DataFrame:
        calls.append(1)
        if len(calls) == 3:
            raise DataTooSmallError("the model is gone")
        return history_lists(histories, **options)

    with_events(spark, warehouse)
    with pytest.raises(DataTooSmallError, match="the model is gone"):
        replay(home, warehouse, plan(), scorer=third_fails)
    assert 0 < len(lists_of(warehouse)) < len(lists_of(whole[1]))
    replay(home, warehouse, plan())
    assert tables_of(warehouse) == tables_of(whole[1])


def test_other_fingerprint_begins_anew(spark: SparkSession, home: Home, warehouse: Warehouse) -> None:
    with_events(spark, warehouse)
    replay(home, warehouse, plan("old", slice_hours=48.0))
    replay(home, warehouse, plan("new", slice_hours=48.0))
    assert {row[1] for row in lists_of(warehouse)} == {row[0] for row in figures_of(warehouse)} == {"live-new"}
    assert [path.name for path in (home.checkpoints / "live").iterdir()] == ["new"]


@pytest.mark.parametrize("seed", [20200204])
def test_killed_replay_goes_on_to_the_tables_of_an_unbroken_one(
    spark: SparkSession, whole: tuple[Home, Warehouse], home: Home, warehouse: Warehouse, seed: int
) -> None:
    with_events(spark, warehouse)
    moment_of_death = random.Random(seed).randint(4, 11)
    process = subprocess.run(
        [sys.executable, "-m", "tests.streaming.killed_replay", str(home.root), str(moment_of_death)],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": f"{REPOSITORY / 'lib'}{os.pathsep}{REPOSITORY}"},
        start_new_session=True,
        capture_output=True,
        check=False,
    )
    assert process.returncode == -signal.SIGKILL, process.stderr.decode()[-2000:]
    assert len(figures_of(warehouse)) < len(figures_of(whole[1]))
    replay(home, warehouse, plan(), model=MODEL)
    assert tables_of(warehouse) == tables_of(whole[1])
