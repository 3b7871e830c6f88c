"""How the stream stands, as data, as text for a scraper and as a view for a person."""

import io
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from pyspark.sql import SparkSession
from pyspark.sql.pandas.types import to_arrow_schema
from rich.console import Console

from freshet.cli.exposition import metrics_text, serve_metrics
from freshet.cli.watch import view, watch_stream
from freshet.contracts import STREAM_METRICS
from freshet.core.errors import InputError
from freshet.service.lifecycle.progress import Backlogs, ProgressListener, waiting_records
from freshet.tables.lookups.stream_progress import stream_progress

BEGAN = datetime(2026, 2, 1, 10, tzinfo=UTC)


def figures(query: str, batch: int, job: str, minute: int, **other: Any) -> dict[str, Any]:
    row = {"query_id": query, "batch_id": batch, "job": job, "finished_at": BEGAN.replace(minute=minute),
           "event_clock": BEGAN, "touched_shoppers": 0, "lists": 0, "unknown_items": 0, "seconds": 0.5}  # fmt: skip
    return {**row, **other}


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    rows = [
        figures("lists-old", 900, "lists", 1, lists=50),
        figures("lists-x", 0, "lists", 2, lists=3), figures("events-y", 4, "events", 3, input=10, accepted=8,
                                                            quarantined=[("resent", 2)]),
        figures("lists-x", 1, "lists", 4, lists=2, touched_shoppers=7, latency_p50_s=0.4, latency_p95_s=0.9,
                state_shoppers=12, backlog=345, model_version="3.1"),
    ]  # fmt: skip
    schema = to_arrow_schema(STREAM_METRICS.schema, timezone="UTC")
    write_deltalake(str(tmp_path / STREAM_METRICS.name), pa.Table.from_pylist(rows, schema=schema))
    return tmp_path


def test_a_jobs_newest_query_counts_alone(warehouse: Path) -> None:
    events, lists = stream_progress(warehouse)
    assert (events.job, events.batches, events.input, events.accepted) == ("events", 1, 10, 8)
    assert (lists.job, lists.batches, lists.lists) == ("lists", 2, 5)
    assert lists.newest["state_shoppers"] == 12


def test_a_home_without_a_stream_has_no_progress(tmp_path: Path) -> None:
    assert stream_progress(tmp_path) == []
    assert metrics_text([]) == ""


def test_the_text_has_a_line_per_job_and_figure_and_none_for_nothing(warehouse: Path) -> None:
    lines = metrics_text(stream_progress(warehouse)).splitlines()
    assert 'freshet_stream_latency_p95_seconds{job="lists"} 0.90000000000000002' in lines
    assert 'freshet_stream_accepted_total{job="events"} 8' in lines
    assert 'freshet_stream_lists_total{job="lists"} 5' in lines
    assert 'freshet_stream_state_shoppers{job="lists"} 12' in lines
    assert 'freshet_stream_backlog_records{job="lists"} 345' in lines
    assert not any(line.startswith('freshet_stream_latency_p95_seconds{job="events"}') for line in lines)
    named = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(named) == len(set(named))
    assert {line.split("{")[0] for line in lines if not line.startswith("#")} == set(named)


def test_figures_are_served_on_loopback_until_the_block_ends(warehouse: Path) -> None:
    with serve_metrics(warehouse, 0) as port:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
            assert b"freshet_stream_lists_total" in answer.read()
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/else", timeout=10)
        with pytest.raises(InputError, match=f"--metrics-port {port}"), serve_metrics(warehouse, port):
            pass
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10)
    with serve_metrics(warehouse, None) as nothing:
        assert nothing is None


def printed(renderable: Any) -> str:
    console = Console(file=io.StringIO(), width=100)
    console.print(renderable)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text


def test_the_view_shows_both_jobs(warehouse: Path) -> None:
    text = printed(view(stream_progress(warehouse), BEGAN.replace(minute=5)))
    assert "2 resent" in text
    assert "3.1" in text
    ages = next(line for line in text.splitlines() if "ended, s ago" in line)
    assert "120" in ages
    assert "60" in ages
    assert "no micro-batch" in printed(view([], BEGAN))


def test_the_live_view_refreshes_and_ends_with_ctrl_c(warehouse: Path) -> None:
    pauses = iter([None, KeyboardInterrupt])

    def pause(_: float) -> None:
        stop = next(pauses)
        if stop is not None:
            raise stop
        row = figures("lists-x", 2, "lists", 5, lists=71)
        schema = to_arrow_schema(STREAM_METRICS.schema, timezone="UTC")
        write_deltalake(str(warehouse / STREAM_METRICS.name), pa.Table.from_pylist([row], schema=schema), mode="append")

    console = Console(file=io.StringIO(), width=100, force_terminal=True)
    watch_stream(console, warehouse, pause=pause)
    assert "76" in console.file.getvalue()  # type: ignore[attr-defined]


def test_records_that_wait_are_those_between_what_was_read_and_what_is_there() -> None:
    read, there = {"clicks": {"0": 10, "1": 5}}, {"clicks": {"0": 12, "1": 5, "2": 7}}
    # Nothing is known of a partition that is new.
    assert waiting_records(read, there) == 2
    assert waiting_records(there, there) == 0
    assert waiting_records(None, there) is None
    assert waiting_records(3, 4) is None
    assert waiting_records({"logOffset": 3}, {"logOffset": 4}) is None


def test_backlogs_are_kept_by_the_name_of_the_query() -> None:
    backlogs = Backlogs()
    source = {"endOffset": {"clicks": {"0": 10}}, "latestOffset": {"clicks": {"0": 15}}}
    backlogs.note({"name": "lists", "sources": [source]})
    backlogs.note({"name": None, "sources": [source]})
    backlogs.note({"name": "events", "sources": []})
    assert (backlogs.of("lists"), backlogs.of("events")) == (5, None)


def test_spark_reports_each_micro_batch_as_the_object_of_its_json(spark: SparkSession, tmp_path: Path) -> None:
    progress: list[dict[str, Any]] = []
    listener = ProgressListener(progress.append)
    spark.streams.addListener(listener)
    try:
        for number in range(2):
            folder = tmp_path / "in"
            folder.mkdir(exist_ok=True)
            (folder / f"{number}.txt").write_text("one\ntwo\n")
        rows = spark.readStream.option("maxFilesPerTrigger", 1).text(str(tmp_path / "in"))
        writer = rows.writeStream.queryName("watched").option("checkpointLocation", str(tmp_path / "checkpoint"))
        writer.trigger(availableNow=True).foreachBatch(lambda batch, _: batch.count()).start().awaitTermination()
        deadline = time.monotonic() + 60
        while len(progress) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
    finally:
        spark.streams.removeListener(listener)
    assert [(one["name"], one["batchId"], one["numInputRows"]) for one in progress] == [
        ("watched", 0, 2), ("watched", 1, 2),
    ]  # fmt: skip
    assert all(one["durationMs"]["triggerExecution"] > 0 for one in progress)
