"""The service as it is run: events from a folder, lists from table events, starts, stops, a checkpoint that is lost."""

import os
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from freshet.contracts import EVENTS, QUARANTINE, RECOMMENDATION_UPDATES, STREAM_METRICS
from freshet.core.errors import BusyError, InputError, StateError
from freshet.runs.job import Job
from freshet.runs.settings import load_settings
from freshet.service.feeds import EventsTable, made_for
from freshet.service.lifecycle.checkpoint import opened_checkpoint
from freshet.service.serving import PARTS, forget_progress
from tests.streaming.service import QUICK, click, feed_of, lists_now, put, rows_of, running, served_job, until

pytestmark = pytest.mark.streaming


@pytest.fixture(scope="module")
def job(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Job:
    return served_job(spark, tmp_path_factory.mktemp("served") / "home")


@pytest.fixture(scope="module")
def follower(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Job:
    """A home whose lists follow table events."""
    return served_job(spark, tmp_path_factory.mktemp("follower") / "home")


def test_events_of_a_folder_become_lists_and_the_next_start_goes_on(job: Job, tmp_path: Path) -> None:
    feed = feed_of(tmp_path / "clicks")
    put(feed.path, "a.json", click(1, "ann", "i5"), click(2, "ann", "i7"), click(3, "ann", "i7"), b"broken")
    with running(job, feed):
        until(lambda: "ann" in lists_now(job))
        assert lists_now(job)["ann"][:3] == ["i7", "i5", "i0"]
        put(feed.path, "b.json", click(4, "bob", "i3"))
        until(lambda: "bob" in lists_now(job))
    before = rows_of(job, RECOMMENDATION_UPDATES)
    put(feed.path, "c.json", click(5, "ann", "i5"), click(6, "ann", "i5"))
    with running(job, feed):
        until(lambda: lists_now(job)["ann"][:2] == ["i5", "i7"])
        until(lambda: len(rows_of(job, STREAM_METRICS)) == 6)
    assert [row for row in rows_of(job, RECOMMENDATION_UPDATES) if row["generated_at"] <= max(
        row["generated_at"] for row in before)] == before  # fmt: skip
    assert sorted(row["event_id"] for row in rows_of(job, EVENTS)) == [f"e{n}" for n in range(1, 7)]
    assert len(rows_of(job, QUARANTINE)) == 1
    assert {row["user_id"] for row in before} == {"ann", "bob"}
    # Whether both came in one micro-batch is a matter of moments.
    sizes = {row["state_shoppers"] for row in rows_of(job, STREAM_METRICS)} - {None}
    assert 2 in sizes
    assert sizes <= {1, 2}

    # A new beginning: the past makes no lists by itself, and is there when the shopper comes back.
    forget_progress(job, PARTS)
    put(feed.path, "d.json", click(7, "bob", "i9"), click(8, "bob", "i9"))
    with running(job, feed):
        until(lambda: lists_now(job)["bob"][:2] == ["i9", "i3"])
    assert sorted(row["event_id"] for row in rows_of(job, EVENTS)) == [f"e{n}" for n in range(1, 9)]
    assert len(rows_of(job, QUARANTINE)) == 1


def test_lists_alone_follow_the_table_that_another_run_fills(spark: SparkSession, tmp_path: Path) -> None:
    job = served_job(spark, tmp_path / "home")
    feed = feed_of(tmp_path / "clicks")
    put(feed.path, "a.json", click(1, "ann", "i5"), click(2, "bob", "i6"))
    with running(job, feed, ("events",)):
        until(lambda: len(rows_of(job, EVENTS)) == 2)
        with running(job, EventsTable(), ("lists",)):
            put(feed.path, "b.json", click(3, "ann", "i4"))
            until(lambda: "ann" in lists_now(job))
    # Bob did nothing since: the past alone brings about no list.
    assert lists_now(job).keys() == {"ann"}
    assert set(lists_now(job)["ann"][:2]) == {"i4", "i5"}


def test_a_part_runs_once_in_a_home(follower: Job, tmp_path: Path) -> None:
    job, feed = follower, feed_of(tmp_path / "clicks")
    with running(job, EventsTable(), ("lists",)):
        # The file is there a moment before the lock is: the holder's number in it says that it is held.
        lock = job.home.locks / "job-stream-lists.lock"
        until(lambda: lock.exists() and lock.read_text() == str(os.getpid()))
        with pytest.raises(BusyError), running(job, EventsTable(), ("lists",)) as ended:
            ended()
    with pytest.raises(InputError, match="--only lists"), running(job, EventsTable(), PARTS) as ended:
        ended()
    with pytest.raises(InputError, match="table:events"), running(job, feed, ("lists",)) as ended:
        ended()


def test_a_checkpoint_names_what_has_changed_under_it(tmp_path: Path) -> None:
    first = opened_checkpoint(tmp_path / "lists", {"source": "topic a", "max_events": 3, "spark": "4.2"})
    again = opened_checkpoint(tmp_path / "lists", {"source": "topic a", "max_events": 3, "spark": "4.2"})
    assert first == again
    with pytest.raises(StateError, match=r"another max_events, spark\. .*--rebuild"):
        opened_checkpoint(tmp_path / "lists", {"source": "topic a", "max_events": 4, "spark": "4.3"})
    assert opened_checkpoint(tmp_path / "other", {"source": "topic a"}).id != first.id


@pytest.mark.parametrize(
    ("setting", "named"),
    [("interactions.max_events=7", "max_events")],
)
def test_a_setting_that_the_state_rests_on_may_not_change(
    spark: SparkSession, follower: Job, setting: str, named: str
) -> None:
    job, changed = follower, Job(spark, follower.home, load_settings("test", (*QUICK, setting)))
    with running(job, EventsTable(), ("lists",)):
        until((job.home.checkpoints / "service" / "lists" / "made-for.json").exists)
    with (
        pytest.raises(StateError, match=f"started with another {named}"),
        running(changed, EventsTable(), ("lists",)) as ended,
    ):
        ended()


def test_a_source_that_is_not_the_checkpoints_is_reported(job: Job, tmp_path: Path) -> None:
    feeds = [feed_of(tmp_path / name) for name in ("one", "other")]
    opened_checkpoint(tmp_path / "events", made_for(job, feeds[0], "events"))
    with pytest.raises(StateError, match="started with another source"):
        opened_checkpoint(tmp_path / "events", made_for(job, feeds[1], "events"))
