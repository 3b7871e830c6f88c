"""A Delta table of the shop as the source of the stream: what is appended, once, from wherever the tables end."""

from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from pyspark.sql import DataFrame, SparkSession

from freshet.contracts import EVENTS, QUARANTINE
from freshet.errors import InputError, MappingError, StateError
from freshet.steps.feeds import ShopTable
from freshet.steps.ingest import ingest
from freshet.steps.job import Job
from freshet.steps.service import forget_progress
from freshet.streaming.table_records import first_version
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


def test_what_is_appended_becomes_events_and_lists_and_laying_out_anew_adds_nothing(
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
    ingest(spark, job.home, source=feed.mapping, input_path=feed.path, params=job.settings.cleaning,
           now=moment("2026-03-01"))  # fmt: skip
    append(feed.path, ("ann", "i7", "10:02"))
    with running(job, feed, ("events",)):
        until(lambda: len(events_of(job)) == 3)
    assert events_of(job) == [("ann", "i5"), ("ann", "i6"), ("ann", "i7")]


def test_where_an_intake_begins(spark: SparkSession, tmp_path: Path) -> None:
    def standing(*names: str) -> DataFrame:
        return spark.createDataFrame([(name,) for name in names], "source_partition string")

    table = tmp_path / "shop"
    for n in range(4):
        append(table, ("ann", f"i{n}", "10:00"))
    held = [{uri.rsplit("/", 1)[1] for uri in DeltaTable(table, version=n).file_uris()} for n in range(4)]
    # Names of files in the order of their commits.
    files = [f"shop/{(now - before).pop()}" for before, now in pairwise([set(), *held])]
    assert first_version(spark, table, standing(), files_per_trigger=20) == 0
    assert first_version(spark, table, standing("other/x"), files_per_trigger=20) == 0
    DeltaTable(table).create_checkpoint()
    for n in range(3):
        (table / "_delta_log" / f"{n:020d}.json").unlink()
    assert first_version(spark, table, standing(*files), files_per_trigger=20) == 3
    for names in ((), files[:2]):
        with pytest.raises(StateError, match=r"no longer reaches back .* found versions from 3.*freshet ingest"):
            first_version(spark, table, standing(*names), files_per_trigger=20)


def test_rows_that_are_changed_end_the_stream_in_one_line_or_are_passed_over(
    spark: SparkSession, tmp_path: Path, feed: ShopTable
) -> None:
    job = served_job(spark, tmp_path / "home")
    append(feed.path, ("ann", "i5", "10:00"), ("bob", "i5", "10:00"))
    with running(job, feed, ("events",)):
        until(lambda: len(events_of(job)) == 2)
    DeltaTable(feed.path).delete("customer = 'bob'")
    append(feed.path, ("cid", "i5", "10:01"))
    only_appended = r"only what is appended is taken in.*service\.skip_changed_commits"
    with pytest.raises(StateError, match=only_appended), running(job, feed, ("events",)) as ended:
        ended()
    passing = served_job(spark, tmp_path / "other", "service.skip_changed_commits=true")
    with running(passing, feed, ("events",)):
        until(lambda: len(events_of(passing)) == 3)
    assert events_of(passing) == [("ann", "i5"), ("bob", "i5"), ("cid", "i5")]


def test_columns_that_do_not_fit_are_told(spark: SparkSession, tmp_path: Path, feed: ShopTable) -> None:
    job = served_job(spark, tmp_path / "home")
    write_deltalake(feed.path, pa.table({"customer": ["ann"], "thing": ["i5"], "time": ["2026-02-01"]}))
    with pytest.raises(MappingError, match="item"), running(job, feed, ("events",)) as ended:
        ended()
    other = ShopTable(feed.mapping, tmp_path / "other")
    columns = {"customer": ["ann"], "item": ["i5"], "time": ["2026-02-01"], "raw": ["x"]}
    write_deltalake(other.path, pa.table(columns))
    with pytest.raises(InputError, match="a column raw"), running(job, other, ("events",)) as ended:
        ended()
    with pytest.raises(InputError, match="table:events"), running(job, feed, ("lists",)) as ended:
        ended()
