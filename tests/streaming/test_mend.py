"""Refused records that a mended mapping makes events of: each once, whatever is killed, and marked in quarantine."""

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from freshet.contracts import EVENTS, QUARANTINE, STREAM_METRICS
from freshet.core.conf_files import conf_folder
from freshet.core.errors import InputError, StateError
from freshet.runs.home import Home
from freshet.runs.job import Job
from freshet.runs.runner import DONE, run_step
from freshet.runs.settings import load_settings
from freshet.runs.steps import MEND
from freshet.sources.mapping import read_mapping
from freshet.tables.warehouse import Warehouse
from tests.streaming.taken_in import events_of, lines, put, record, taken

pytestmark = [pytest.mark.streaming, pytest.mark.delta]

MENDED = """[event_name]
column = "event_name"
values = { view_item = "view_item", look = "view_item", stare = "view_item" }
"""


class StopError(Exception):
    """A kill at a chosen moment."""


@pytest.fixture
def mapping(tmp_path: Path) -> Path:
    """The mapping by which records are refused."""
    found = conf_folder().joinpath("sources/shop_events.toml").read_text(encoding="utf-8")
    path = tmp_path / "shop.toml"
    path.write_text(found)
    return path


@pytest.fixture
def job(spark: SparkSession, home: Home, mapping: Path, tmp_path: Path) -> Job:
    """A home into which the records of RECORDS were taken."""
    job = Job(spark, home, load_settings("test"), source=mapping, topic="clicks")
    for contract in (EVENTS, QUARANTINE, STREAM_METRICS):
        job.warehouse.create(contract)
    # Files are named as the partitions of a topic are, but for one.
    put(tmp_path / "in", "clicks-1", lines(*RECORDS))
    put(tmp_path / "in", "orders.json", lines(record(7, event_name="look")))
    taken(spark, job.warehouse, read_mapping(mapping), tmp_path / "in", tmp_path / "checkpoint", files=2)
    assert [row[3] for row in verdicts_of(job.warehouse)] == [
        "unknown_event", "resent", "unknown_event", "unknown_event", "unknown_event", "broken_record", "broken_record",
        "unknown_event",
    ]  # fmt: skip
    return job


RECORDS = (
    record(1),
    record(2, event_name="look"),
    record(1, item_id="i9"),
    record(3, event_name="stare", received_time="2026-02-01T10:30:00Z"),
    record(3, event_name="stare", received_time="2026-02-01T10:29:00Z"),
    record(4, event_name="gaze"),
    b'{"event_id": "e5", "event_na',
    b'{"event_id": "e6\xff", "event_name": "view_item", "event_time": "2026-02-01T10:00:00Z", "user_id": "u1"}',
)


def verdicts_of(tables: Warehouse) -> list[tuple[str, int, str, str, str | None]]:
    columns = ("source_partition", "source_offset", "status", "reason_code", "replayed_as")
    rows = tables.read(QUARANTINE).select(*columns).collect()
    return sorted(tuple(row) for row in rows)


def mend_mapping(mapping: Path) -> None:
    text = mapping.read_text()
    start = text.index("[event_name]")
    end = text.index("\n[", start)
    mapping.write_text(text[:start] + MENDED + text[end:])


AFTER = [
    ("clicks-1", 1, "replayed", "unknown_event", "e2"),
    ("clicks-1", 2, "refused", "resent", None),
    ("clicks-1", 3, "refused", "unknown_event", None),
    ("clicks-1", 4, "replayed", "unknown_event", "e3"),
    ("clicks-1", 5, "refused", "unknown_event", None),
    ("clicks-1", 6, "refused", "broken_record", None),
    ("clicks-1", 7, "refused", "broken_record", None),
    ("orders.json", 0, "refused", "unknown_event", None),
]
"""Of the two records with one id the one that was received first became the event."""


def test_records_that_a_mended_mapping_accepts_are_ingested_once_also_where_the_stream_starts_over(
    job: Job, mapping: Path, tmp_path: Path
) -> None:
    mend_mapping(mapping)
    result = run_step(MEND, job)
    assert (result.status, result.record["mended"], result.record["refused"]) == (DONE, 2, 4)
    assert events_of(job.warehouse) == [("e1", "clicks-1", 0), ("e2", "clicks-1", 1), ("e3", "clicks-1", 4)]
    assert verdicts_of(job.warehouse) == AFTER
    versions = [job.warehouse.version(table) for table in (EVENTS, QUARANTINE)]
    assert run_step(MEND, job).record["mended"] == 0
    assert [job.warehouse.version(table) for table in (EVENTS, QUARANTINE)] == versions
    # The same event once more, at a place that stands before its own.
    put(tmp_path / "in", "clicks-0", lines(record(2)))
    events = events_of(job.warehouse)
    taken(job.spark, job.warehouse, read_mapping(mapping), tmp_path / "in", tmp_path / "another", files=3)
    assert events_of(job.warehouse) == events
    assert verdicts_of(job.warehouse) == [("clicks-0", 0, "refused", "resent", None), *AFTER]


def test_a_mend_that_was_killed_between_its_tables_is_finished_by_the_next(
    job: Job, mapping: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object, **__: object) -> None:
        raise StopError

    mend_mapping(mapping)
    with monkeypatch.context() as patch:
        patch.setattr(Warehouse, "replace", killed)
        with pytest.raises(StopError):
            run_step(MEND, job)
    assert len(events_of(job.warehouse)) == 3
    assert {row[2] for row in verdicts_of(job.warehouse)} == {"refused"}
    assert run_step(MEND, job).record["mended"] == 2
    assert len(events_of(job.warehouse)) == 3
    assert verdicts_of(job.warehouse) == AFTER


def test_a_home_without_a_stream_and_a_missing_mapping_are_reported(
    spark: SparkSession, home: Home, mapping: Path
) -> None:
    with pytest.raises(StateError, match="does not exist yet"):
        run_step(MEND, Job(spark, home, load_settings("test"), source=mapping, topic="clicks"))
    with pytest.raises(InputError, match="--source"):
        run_step(MEND, Job(spark, home, load_settings("test"), topic="clicks"))
