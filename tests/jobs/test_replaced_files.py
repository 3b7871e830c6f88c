"""Files of tables that no version holds any more go after a while, also where no stream runs."""

import dataclasses
import os
import time
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from freshet.contracts import POPULAR_ITEMS
from freshet.runs.home import Home
from freshet.runs.job import Job
from freshet.runs.runner import DONE, UP_TO_DATE, run_step
from freshet.runs.settings import load_settings
from freshet.runs.step import Step
from freshet.tables.small_writes import replace_collected
from tests.factories import frame

pytestmark = [pytest.mark.jobs, pytest.mark.delta]


def replacing(turn: int) -> Step:
    """A step that puts a row of this turn in place of the table's."""

    def work(job: Job, _: str) -> dict[str, int]:
        replace_collected(job.warehouse, frame(job.spark, POPULAR_ITEMS, [{"position": turn}]), POPULAR_ITEMS)
        return {}

    return Step("recommend", (), (POPULAR_ITEMS,), (), (), lambda _: {"turn": turn}, work)


def job_in(spark: SparkSession, home: Home, *, hours: int) -> Job:
    settings = load_settings("test")
    compaction = dataclasses.replace(settings.compaction, vacuum_hours=hours)
    return Job(spark, home, dataclasses.replace(settings, compaction=compaction))


def files_of(job: Job) -> set[Path]:
    return set(Path(job.warehouse.path(POPULAR_ITEMS)).glob("*.parquet"))


@pytest.mark.parametrize(("hours", "left"), [(0, 1), (6, 3)])
def test_files_that_a_step_has_replaced_stay_for_their_hours(
    spark: SparkSession, home: Home, hours: int, left: int
) -> None:
    job = job_in(spark, home, hours=hours)
    assert [run_step(replacing(turn), job).status for turn in (1, 2, 3, 3)] == [DONE, DONE, DONE, UP_TO_DATE]
    assert len(files_of(job)) == left
    assert [row.position for row in job.warehouse.read(POPULAR_ITEMS).collect()] == [3]


def test_what_a_killed_task_has_left_goes_after_the_hours(spark: SparkSession, home: Home) -> None:
    job = job_in(spark, home, hours=6)
    run_step(replacing(1), job)
    written, killed = (Path(job.warehouse.path(POPULAR_ITEMS)) / f"part-{name}.parquet" for name in ("new", "old"))
    for file in (written, killed):
        file.write_bytes(b"rows")
    long_ago = time.time() - 7 * 3600
    os.utime(killed, (long_ago, long_ago))
    run_step(replacing(2), job)
    assert (written.exists(), killed.exists()) == (True, False)
    assert [row.position for row in job.warehouse.read(POPULAR_ITEMS).collect()] == [2]
