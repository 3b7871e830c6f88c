"""Sources and tables that go wrong under a running stream: it goes on, or stops with one clear line and no loss."""

import errno
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

import freshet.service.intake.event_intake as intake
from freshet.cli.errors import run_or_exit
from freshet.contracts import EVENTS, STREAM_METRICS
from freshet.core.errors import FreshetError
from freshet.ranking.histories.packed_histories import TIME
from freshet.service.feeds import EventsTable
from freshet.service.lists.history_store import HistoryStore
from freshet.service.lists.history_updates import apply_events
from freshet.service.lists.initial_histories import make_store, opened_store
from freshet.tables.maintenance import operations
from tests.factories import events_frame, moment
from tests.stream_rows import HISTORY_EVENTS, entry, stream_rows
from tests.streaming.service import click, feed_of, lists_now, put, rows_of, running, served_job, taken, until

pytestmark = pytest.mark.streaming


def test_a_full_disk_ends_the_stream_in_one_line_and_the_next_start_loses_nothing(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    job, feed = served_job(spark, tmp_path / "home"), feed_of(tmp_path / "clicks")
    put(feed.path, "a.json", click(1, "ann", "i1"), b"broken", click(2, "bob", "i2"))

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(intake, "append_arrow", full)

        def service() -> None:
            with running(job, feed, ("events",)) as ended:
                ended()

        with pytest.raises(SystemExit) as stopped:
            run_or_exit(service)
    assert stopped.value.code == 1
    assert capsys.readouterr().err.splitlines() == [
        "freshet: the disk is full; no table was half-written. Free some space, or choose another --home, and run again"
    ]
    with running(job, feed, ("events",)):
        until(lambda: taken(job) == ["e1", "e2"])


def test_a_table_that_is_vacuumed_under_the_stream_ends_it_with_a_line_and_a_new_beginning_has_everything(
    spark: SparkSession, tmp_path: Path
) -> None:
    job, feed = served_job(spark, tmp_path / "home"), feed_of(tmp_path / "clicks")
    put(feed.path, "a.json", click(1, "ann", "i1"))
    with running(job, feed):
        until(lambda: "ann" in lists_now(job))
    # The lists stand still while events come, are packed, and what was packed is removed at once.
    for n in (2, 3):
        put(feed.path, f"{n}.json", click(n, "ann", "i5"))
        with running(job, feed, ("events",)):
            until(lambda n=n: len(taken(job)) == n)  # type: ignore[misc]
    assert operations.pack(job.warehouse, EVENTS, target_mb=64, from_files=2) == 3
    assert operations.vacuum(job.warehouse, EVENTS, hours=0) == 3
    with pytest.raises(FreshetError, match="--rebuild"), running(job, EventsTable(), ("lists",)) as ended:
        ended()


def test_packing_and_vacuuming_as_the_service_does_it_disturbs_no_stream(spark: SparkSession, tmp_path: Path) -> None:
    job, feed = served_job(spark, tmp_path / "home"), feed_of(tmp_path / "clicks")
    with running(job, feed):
        for n in range(1, 4):
            put(feed.path, f"{n}.json", click(n, "ann", f"i{n}"), click(10 + n, "ann", "i7"))
            until(lambda n=n: len(taken(job)) == 2 * n)  # type: ignore[misc]
        operations.pack(job.warehouse, EVENTS, target_mb=64, from_files=2)
        operations.vacuum(job.warehouse, EVENTS, hours=job.settings.compaction.events_vacuum_hours)
        put(feed.path, "z.json", click(20, "ann", "i9"))
        until(lambda: set(lists_now(job).get("ann", [])[:5]) == {"i1", "i2", "i3", "i7", "i9"})
        assert lists_now(job)["ann"][0] == "i7"


def test_ten_thousand_unknown_items_are_ingested_and_counted(spark: SparkSession, tmp_path: Path) -> None:
    job, feed = served_job(spark, tmp_path / "home"), feed_of(tmp_path / "clicks")
    put(feed.path, "a.json", *[{**click(1, "ann", f"unknown{n}"), "event_id": f"e{n}"} for n in range(10_000)])
    with running(job, feed):
        until(lambda: "ann" in lists_now(job))
    # The catalogue's list, and as many unknown entries as a history holds.
    assert lists_now(job)["ann"][:3] == ["i0", "i1", "i2"]
    assert len(taken(job)) == 10_000
    figures = [row for row in rows_of(job, STREAM_METRICS) if row["job"] == "lists"]
    assert max(figures, key=lambda row: row["batch_id"])["unknown_items"] == job.settings.interactions.max_events


def test_a_shopper_with_very_many_events_in_the_past_keeps_the_newest(spark: SparkSession, tmp_path: Path) -> None:
    one = events_frame(spark, [{"event_time": moment("2026-01-01"), "received_time": moment("2026-01-01"),
                                "event_name": "view_item", "user_id": "ann", "flags": []}])  # fmt: skip
    many = one.drop("event_id", "item_id", "event_time").crossJoin(
        spark.range(1_000_000).select(
            F.format_string("e%06d", "id").alias("event_id"),
            F.format_string("i%d", F.col("id") % 100).alias("item_id"),
            F.timestamp_seconds(F.col("id") + 1_767_225_600).alias("event_time"),
        )
    )  # fmt: skip
    for most_per_file in (300_000, 10_000_000):
        make_store(many, tmp_path, event_names=HISTORY_EVENTS, most=20, most_per_file=most_per_file)
        past = opened_store(tmp_path, most=20).histories(["ann"])
        newest = [n + 1_767_225_600 for n in range(999_999, 999_979, -1)]
        assert (past.entries[:, TIME] // 1_000_000).tolist() == newest


def test_a_micro_batch_of_one_shopper_with_very_many_events_keeps_the_newest(tmp_path: Path) -> None:
    many = [entry(user="ann", item=f"i{n % 100}", at=n, key=n) for n in range(1_000_000)]
    store = HistoryStore(tmp_path / "store.db", most=20)
    touched = apply_events(store, stream_rows(many), 0)
    assert touched.due.column("user_id").to_pylist() == ["ann"]
    assert store.histories(["ann"]).entries[:, TIME].tolist() == list(range(999_999, 999_979, -1))
