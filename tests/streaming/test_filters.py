"""What lists leave out or put lower while the stream runs: items that cannot be had, things taken back."""

import dataclasses
import os
import time
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from freshet.contracts import ITEMS_HISTORY
from freshet.core.errors import BusyError, InputError, MappingError
from freshet.ranking.availability import drop_unused, read_unavailable, save_unavailable
from freshet.runs import waiting
from freshet.runs.home import Home
from freshet.runs.job import Job
from freshet.runs.runner import DONE, UP_TO_DATE, run_step
from freshet.runs.settings import load_settings
from freshet.runs.steps import ITEMS
from freshet.service.lists.availability import Availability
from freshet.tables.leases import lease
from freshet.tables.lookups.item_states import unavailable_items
from freshet.tables.warehouse import Warehouse
from tests.factories import Row, frame, moment
from tests.streaming.service import click, feed_of, lists_now, put, running, served_job, until

pytestmark = [pytest.mark.streaming, pytest.mark.delta]

MAPPING = """
name = "shop"
format = "csv"
[columns]
user_id = "customer"
item_id = "item"
[event_name]
constant = "purchase"
[time]
column = "time"
[items.catalogue]
file = "stock.csv"
format = "csv"
item_id = "sku"
available = "stock"
price = "price"
"""


def state(item: str, since: str, available: bool | None, **other: object) -> Row:
    return {"item_id": item, "valid_from": since, "known_at": since, "available": available, **other}


def test_of_each_item_the_newest_state_known_before_the_moment_counts(
    spark: SparkSession, warehouse: Warehouse
) -> None:
    assert unavailable_items(warehouse, moment("2026-01-01")).to_pylist() == []
    rows = [
        state("gone", "2026-01-01", True), state("gone", "2026-02-01", False),
        state("back", "2026-01-01", False), state("back", "2026-02-01", True),
        state("silent", "2026-01-01", None), state("soon", "2026-03-01", False),
        # The shop heard of it after the moment.
        state("unheard", "2026-01-01", False, known_at="2026-03-01"),
    ]  # fmt: skip
    warehouse.replace(frame(spark, ITEMS_HISTORY, rows), ITEMS_HISTORY)
    assert unavailable_items(warehouse, moment("2026-02-02")).to_pylist() == ["gone"]
    assert sorted(unavailable_items(warehouse, moment("2026-04-01")).to_pylist()) == ["gone", "soon", "unheard"]


def test_the_file_follows_the_table(spark: SparkSession, warehouse: Warehouse, tmp_path: Path) -> None:
    availability = Availability(warehouse, tmp_path / "files", 0, lambda: moment("2026-04-01"))
    assert availability() is None
    warehouse.replace(frame(spark, ITEMS_HISTORY, [state("a", "2026-01-01", False)]), ITEMS_HISTORY)
    file = availability()
    assert file is not None
    assert read_unavailable(file) == pa.array(["a"])
    assert availability() == file
    warehouse.replace(frame(spark, ITEMS_HISTORY, [state("a", "2026-02-01", True)]), ITEMS_HISTORY)
    assert availability() is None


def test_a_file_in_use_stays_however_old_it_is(spark: SparkSession, warehouse: Warehouse, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    availability = Availability(warehouse, folder, 0, lambda: moment("2026-04-01"))
    warehouse.replace(frame(spark, ITEMS_HISTORY, [state("a", "2026-01-01", False)]), ITEMS_HISTORY)
    file = availability()
    assert file is not None
    others = [save_unavailable(pa.array([name]), folder) for name in "bcdef"]
    for path in (file, others[0]):
        assert path is not None
        os.utime(path, (0, 0))
    assert availability() == file
    drop_unused(folder, before=moment("2026-04-01"))
    assert {*folder.iterdir()} == {file, *others[1:]}
    # Removed by hand, it is made again.
    file.unlink()
    assert availability() == file
    assert read_unavailable(file) == pa.array(["a"])


def test_a_catalogue_is_ingested_again_once_another_has_changed_the_states(
    spark: SparkSession, home: Home, tmp_path: Path
) -> None:
    job = Job(spark, home, load_settings("test"))
    assert [with_stock(job, tmp_path, "i7,0,3.5") for _ in range(2)] == [DONE, UP_TO_DATE]
    job.warehouse.replace(frame(spark, ITEMS_HISTORY, [state("i7", "2026-01-01", True)]), ITEMS_HISTORY)
    assert [with_stock(job, tmp_path, "i7,0,3.5") for _ in range(2)] == [DONE, UP_TO_DATE]
    assert unavailable_items(job.warehouse, moment("2200-01-01")).to_pylist() == ["i7"]


def with_stock(job: Job, folder: Path, *lines: str) -> str:
    """Takes a catalogue file in; how the step ended."""
    (folder / "shop.toml").write_text(MAPPING)
    (folder / "stock.csv").write_text("\n".join(("sku,stock,price", *lines)) + "\n")
    job.source, job.input_path = folder / "shop.toml", folder / "stock.csv"
    return run_step(ITEMS, job).status


def test_an_unavailable_item_leaves_the_lists_of_a_running_stream_and_comes_back(
    spark: SparkSession, tmp_path: Path
) -> None:
    job = served_job(spark, tmp_path / "home")
    feed = feed_of(tmp_path / "clicks")
    with running(job, feed):
        put(feed.path, "a.json", click(1, "ann", "i5"), click(2, "ann", "i7"), click(3, "ann", "i7"))
        until(lambda: lists_now(job).get("ann", [])[:3] == ["i7", "i5", "i0"])
        # Sold out, by the number of pieces; another one is still there; of a third nothing is known.
        assert with_stock(job, tmp_path, "i7,0,3.5", "i5,17,2.0", "i0,,1.0") == DONE
        put(feed.path, "b.json", click(4, "bob", "i7"))
        until(lambda: "bob" in lists_now(job))
        assert "i7" not in lists_now(job)["bob"]
        put(feed.path, "c.json", click(5, "ann", "i7"))
        until(lambda: lists_now(job)["ann"][:3] == ["i5", "i0", "i1"])
        assert with_stock(job, tmp_path, "i7,0,3.5", "i5,17,2.0", "i0,,1.0") == UP_TO_DATE
        assert with_stock(job, tmp_path, "i7,1,3.5") == DONE
        put(feed.path, "d.json", click(6, "ann", "i7"))
        until(lambda: lists_now(job)["ann"][:2] == ["i7", "i5"])
    current = {row["item_id"]: (row["price"], row["available"]) for row in job.warehouse.read(ITEMS_HISTORY)
            .where("valid_to is null").collect()}  # fmt: skip
    assert current == {"i7": (3.5, True), "i5": (2.0, True), "i0": (1.0, None)}


def test_a_step_with_patience_waits_for_a_table_that_another_process_has(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, held = served_job(spark, tmp_path / "home"), ExitStack()
    held.enter_context(lease(job.home.locks, "table", ITEMS_HISTORY.name))
    # Not the module's own function, which every thread of this process sleeps by.
    naps = iter([lambda: None, held.close])
    clock = SimpleNamespace(monotonic=time.monotonic, sleep=lambda seconds: next(naps)())
    monkeypatch.setattr(waiting, "time", clock)
    messages: list[str] = []
    assert with_stock(job.with_progress(messages.append), tmp_path, "i7,0,3.5") == DONE
    assert messages == [f"table items_history is in use by process {os.getpid()}: waiting until it ends"]
    job.source, job.input_path = tmp_path / "shop.toml", tmp_path / "stock.csv"
    job.input_path.write_text("sku,stock,price\ni7,1,3.5\n")
    held.enter_context(lease(job.home.locks, "table", ITEMS_HISTORY.name))
    with held, pytest.raises(BusyError, match="table items_history is in use"):
        run_step(dataclasses.replace(ITEMS, patience_seconds=0.0), job)


def test_a_step_with_patience_does_not_wait_for_itself(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = served_job(spark, tmp_path / "home")
    monkeypatch.setattr(waiting, "time", SimpleNamespace(monotonic=time.monotonic, sleep=pytest.fail))
    with lease(job.home.locks, "job", "items"), pytest.raises(BusyError, match="job items is in use"):
        with_stock(job, tmp_path, "i7,0,3.5")


def test_a_refund_and_a_removal_lower_what_was_wanted(spark: SparkSession, tmp_path: Path) -> None:
    job = served_job(spark, tmp_path / "home")
    feed = feed_of(tmp_path / "clicks")
    with running(job, feed):
        bought = [click(n, "ann", item, event_name="purchase", transaction_id=f"o{n}")
                  for n, item in enumerate(("i3", "i3", "i8"))]  # fmt: skip
        put(feed.path, "a.json", *bought)
        until(lambda: lists_now(job).get("ann", [])[:2] == ["i3", "i8"])
        back = [click(n, "ann", "i3", event_name="refund", transaction_id=f"r{n}") for n in (4, 5)]
        put(feed.path, "b.json", *back, click(6, "ann", "i6"), click(7, "ann", "i6", event_name="remove_from_cart"))
        until(lambda: lists_now(job)["ann"][:3] == ["i8", "i0", "i1"])


def test_a_mapping_without_a_catalogue_and_a_missing_file_are_reported(spark: SparkSession, tmp_path: Path) -> None:
    job = served_job(spark, tmp_path / "home")
    (tmp_path / "shop.toml").write_text(MAPPING.split("[items", maxsplit=1)[0])
    job.source, job.input_path = tmp_path / "shop.toml", tmp_path / "stock.csv"
    with pytest.raises(MappingError, match="no catalogue"):
        run_step(ITEMS, job)
    (tmp_path / "shop.toml").write_text(MAPPING)
    with pytest.raises(InputError, match="no such file"):
        run_step(ITEMS, job)
