"""A Delta table of the shop as the source of the stream: what is appended, once, from wherever the tables end."""

from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from pyspark.sql import SparkSession

from freshet.contracts import EVENTS, QUARANTINE
from freshet.core.errors import InputError, MappingError, StateError
from freshet.pipeline.ingestion.ingest import ingest
from freshet.runs.job import Job
from freshet.service.serving import forget_progress
from freshet.service.table_feed import ShopTable
from freshet.tables.positions import TableVersion, check_name, first_version_to_read, keep_position, newest
from tests.factories import moment
from tests.streaming.service import lists_now, rows_of, running, served_job, until

pytestmark = [pytest.mark.streaming, pytest.mark.delta]

MAPPING = """
name = "shop"
format = "delta"
repeats = "events"
[columns]
user_id = "customer"
item_id = "item"
[event_name]
constant = "view_item"
[time]
column = "time"
"""

ROWS_HAVE_NO_ID = "two equal rows are two events: an event's id comes of its place"


def append(folder: Path, *rows: tuple[str | None, str, str]) -> None:
    """One commit of (customer, item, time of 2026-02-01)."""
    columns = ([row[0] for row in rows], [row[1] for row in rows], [f"2026-02-01T{row[2]}:00Z" for row in rows])
    table = pa.table([pa.array(column, pa.string()) for column in columns], names=["customer", "item", "time"])
    write_deltalake(folder, table, mode="append")


@pytest.fixture
def feed(tmp_path: Path) -> ShopTable:
    (tmp_path / "shop.toml").write_text(MAPPING)
    return ShopTable(tmp_path / "shop.toml", tmp_path / "shop events+")


def events_of(job: Job) -> list[tuple[str, str]]:
    return sorted((row["user_id"], row["item_id"]) for row in rows_of(job, EVENTS))


def taken_in_as_a_file(spark: SparkSession, job: Job, feed: ShopTable) -> None:
    params = job.settings.cleaning
    ingest(spark, job.home, source=feed.mapping, input_path=feed.path, params=params, now=moment("2026-03-01"))


def test_appended_rows_become_events_and_lists_and_a_rewrite_of_files_adds_nothing(
    spark: SparkSession, tmp_path: Path, feed: ShopTable
) -> None:
    job = served_job(spark, tmp_path / "home")
    append(feed.path, ("ann", "i5", "10:00"), ("ann", "i7", "10:01"), ("ann", "i7", "10:01"), (None, "i1", "10:02"))
    with running(job, feed):
        until(lambda: lists_now(job).get("ann", [])[:2] == ["i7", "i5"])
        append(feed.path, ("bob", "i3", "10:05"))
        until(lambda: "bob" in lists_now(job))
    assert events_of(job) == [("ann", "i5"), ("ann", "i7"), ("ann", "i7"), ("bob", "i3")], ROWS_HAVE_NO_ID
    refused = rows_of(job, QUARANTINE, "reason_code", "raw", "source_partition", "source_offset")
    assert [row["reason_code"] for row in refused] == ["missing_shopper"]
    assert '"item":"i1"' in refused[0]["raw"]
    assert refused[0]["source_partition"].startswith("shop events+/part-")

    DeltaTable(feed.path).optimize.compact()
    append(feed.path, ("cid", "i2", "10:06"))
    with running(job, feed):
        until(lambda: "cid" in lists_now(job))
    assert len(events_of(job)) == 5

    # Begun anew: the places in the tables say what stands.
    forget_progress(job, ("events", "lists"))
    append(feed.path, ("dot", "i4", "10:07"))
    with running(job, feed):
        until(lambda: "dot" in lists_now(job))
    assert len(events_of(job)) == 6
    assert len(rows_of(job, QUARANTINE)) == 1


def test_a_table_that_was_ingested_as_a_file_is_streamed_from_there(
    spark: SparkSession, tmp_path: Path, feed: ShopTable
) -> None:
    job = served_job(spark, tmp_path / "home")
    append(feed.path, ("ann", "i5", "10:00"))
    append(feed.path, ("ann", "i6", "10:01"))
    DeltaTable(feed.path).optimize.compact()
    taken_in_as_a_file(spark, job, feed)
    append(feed.path, ("ann", "i7", "10:02"))
    with running(job, feed, ("events",)):
        until(lambda: len(events_of(job)) == 3)
    assert events_of(job) == [("ann", "i5"), ("ann", "i6"), ("ann", "i7")]


def test_a_table_whose_files_are_old_and_new_is_streamed_from_what_was_ingested(
    spark: SparkSession, tmp_path: Path, feed: ShopTable
) -> None:
    job = served_job(spark, tmp_path / "home")
    append(feed.path, *[("ann", f"x{n}", f"10:{n % 60:02}") for n in range(3000)])
    append(feed.path, ("ann", "i6", "11:01"))
    append(feed.path, ("ann", "i7", "11:02"))
    large = DeltaTable(feed.path, version=0).get_add_actions(flatten=True).column("size_bytes")[0].as_py()
    DeltaTable(feed.path).optimize.compact(target_size=large)  # the two later files alone
    assert DeltaTable(feed.path).version() == 3
    taken_in_as_a_file(spark, job, feed)
    assert len(events_of(job)) == 3002
    with running(job, feed, ("events",)):
        append(feed.path, ("bob", "i8", "11:03"))
        until(lambda: len(events_of(job)) == 3003)
    # Laid out anew and its old files gone, as when the stream stood still for long: ingested once more.
    DeltaTable(feed.path).optimize.compact()
    DeltaTable(feed.path).vacuum(0, dry_run=False, enforce_retention_duration=False)
    forget_progress(job, ("events",))
    taken_in_as_a_file(spark, job, feed)
    with running(job, ShopTable(feed.mapping, feed.path.parent / "home" / ".." / feed.path.name), ("events",)):
        append(feed.path, ("cid", "i9", "11:04"))
        until(lambda: ("cid", "i9") in events_of(job))
    assert len(events_of(job)) == len({(row["source_partition"], row["source_offset"]) for row in rows_of(job, EVENTS)})
    assert len(events_of(job)) == 3004


def test_where_an_intake_begins(tmp_path: Path) -> None:
    table, positions = tmp_path / "shop", tmp_path / "positions"
    for n in range(4):
        append(table, ("ann", f"i{n}", "10:00"))
    assert first_version_to_read(positions, "shop", table) == 0
    mine = newest(table).table_id
    keep_position(positions, "shop", table, TableVersion(mine, 1))
    assert first_version_to_read(positions, "shop", table) == 2
    assert first_version_to_read(positions, "other", table) == 0
    keep_position(positions, "shop", table, TableVersion(mine, 3))
    keep_position(positions, "shop", table, TableVersion(mine, 2))  # a query that is behind an ingest
    assert first_version_to_read(positions, "shop", table) == 3, "its rows are known by their places"
    DeltaTable(table).create_checkpoint()
    for n in range(3):
        (table / "_delta_log" / f"{n:020d}.json").unlink()
    assert first_version_to_read(positions, "shop", table) == 3
    with pytest.raises(StateError, match=r"no longer reaches back .* version 0\. Run freshet ingest"):
        first_version_to_read(positions, "other", table)
    DeltaTable(table).delete("item = 'i1'")
    keep_position(positions, "shop", table, newest(table))
    with pytest.raises(StateError, match=r"changes rows.* after the next append"):
        first_version_to_read(positions, "shop", table)
    append(table, ("ann", "i9", "10:00"))
    assert first_version_to_read(positions, "shop", table) == 5
    other = tmp_path / "elsewhere" / "shop"
    append(other, ("ann", "i1", "10:00"))
    check_name(positions, "shop", table)
    with pytest.raises(InputError, match="another table of this name"):
        check_name(positions, "shop", other)


def test_a_stream_that_an_ingest_has_overtaken_says_so(spark: SparkSession, tmp_path: Path, feed: ShopTable) -> None:
    job = served_job(spark, tmp_path / "home")
    append(feed.path, ("ann", "i5", "10:00"))
    with running(job, feed, ("events",)):
        until(lambda: len(events_of(job)) == 1)
        # A stream that stood is behind; one that has nothing to do is not.
        append(feed.path, ("ann", "i6", "10:01"))
        until(lambda: len(events_of(job)) == 2)
    append(feed.path, ("ann", "i7", "10:02"))
    append(feed.path, ("ann", "i8", "10:03"))
    DeltaTable(feed.path).optimize.compact()
    taken_in_as_a_file(spark, job, feed)
    with pytest.raises(StateError, match="ingested while"), running(job, feed, ("events",)) as ended:
        ended()
    forget_progress(job, ("events",))
    with running(job, feed, ("events",)):
        append(feed.path, ("ann", "i9", "10:04"))
        until(lambda: len(events_of(job)) >= 5)
    assert events_of(job) == [("ann", f"i{n}") for n in range(5, 10)]


def test_rows_that_are_changed_end_the_stream_in_one_line_or_are_passed_over(
    spark: SparkSession, tmp_path: Path, feed: ShopTable
) -> None:
    job = served_job(spark, tmp_path / "home")
    append(feed.path, ("ann", "i5", "10:00"), ("bob", "i5", "10:00"))
    with running(job, feed, ("events",)):
        until(lambda: len(events_of(job)) == 2)
    DeltaTable(feed.path).delete("customer = 'bob'")
    append(feed.path, ("cid", "i5", "10:01"))
    only_appended = r"only appended rows are ingested.*service\.skip_changed_commits"
    with pytest.raises(StateError, match=only_appended), running(job, feed, ("events",)) as ended:
        ended()
    passing = served_job(spark, tmp_path / "other", "service.skip_changed_commits=true")
    with running(passing, feed, ("events",)):
        until(lambda: len(events_of(passing)) == 3)
    assert events_of(passing) == [("ann", "i5"), ("bob", "i5"), ("cid", "i5")]


def test_files_that_are_gone_before_they_were_read_are_reported(
    spark: SparkSession, tmp_path: Path, feed: ShopTable
) -> None:
    job = served_job(spark, tmp_path / "home")
    append(feed.path, ("ann", "i5", "10:00"))
    for file in feed.path.glob("*.parquet"):
        file.unlink()
    gone = r"files of the table that come next are gone.*freshet ingest before it"
    with pytest.raises(StateError, match=gone), running(job, feed, ("events",)) as ended:
        ended()
    assert events_of(job) == []


def test_columns_that_do_not_fit_are_reported(spark: SparkSession, tmp_path: Path, feed: ShopTable) -> None:
    job = served_job(spark, tmp_path / "home")
    write_deltalake(feed.path, pa.table({"customer": ["ann"], "thing": ["i5"], "time": ["2026-02-01"]}))
    with pytest.raises(MappingError, match="item"), running(job, feed, ("events",)) as ended:
        ended()
    other = ShopTable(feed.mapping, tmp_path / "other")
    columns = {"customer": ["ann"], "item": ["i5"], "time": ["2026-02-01"], "raw": ["x"], "_freshet_file": ["x"]}
    write_deltalake(other.path, pa.table(columns))
    with pytest.raises(InputError, match="a column _freshet_file, raw"), running(job, other, ("events",)) as ended:
        ended()
    with pytest.raises(InputError, match="table:events"), running(job, feed, ("lists",)) as ended:
        ended()
