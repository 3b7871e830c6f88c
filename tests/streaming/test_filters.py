"""What lists leave out or put lower while the stream runs: items that cannot be had, things taken back."""

import dataclasses
import itertools
import json
import os
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from freshet.contracts import ITEMS_HISTORY, MERCHANDISING_RULES, RECOMMENDATION_UPDATES
from freshet.core.errors import BusyError, InputError, MappingError
from freshet.rules.compiled import CompiledRules, drop_unused
from freshet.rules.list_rules import RulesOfModel
from freshet.rules.parameters import RuleParameters
from freshet.runs import waiting
from freshet.runs.home import Home
from freshet.runs.job import Job
from freshet.runs.merchandising import rules_in_force, written_rules
from freshet.runs.runner import DONE, UP_TO_DATE, run_step
from freshet.runs.settings import load_settings
from freshet.runs.steps import ITEMS
from freshet.service.lists import current_rules as module_of_current_rules
from freshet.service.lists.current_rules import CurrentRules
from freshet.tables.leases import lease
from freshet.tables.lookups.item_states import item_states
from freshet.tables.warehouse import Warehouse
from tests.factories import Row, frame, moment
from tests.rules_data import compiled
from tests.rules_data import item as catalogue_item
from tests.streaming.service import click, feed_of, lists_now, put, rows_of, running, served_job, until

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


def unavailable_at(warehouse: Warehouse, at: str) -> list[str]:
    found = item_states(warehouse, moment(at), only_unavailable=True)
    return sorted(found.column("item_id").to_pylist())


def test_of_each_item_the_newest_state_known_before_the_moment_counts(
    spark: SparkSession, warehouse: Warehouse
) -> None:
    assert unavailable_at(warehouse, "2026-01-01") == []
    rows = [
        state("gone", "2026-01-01", True), state("gone", "2026-02-01", False, attributes={"stock": "0"}),
        state("back", "2026-01-01", False), state("back", "2026-02-01", True, brand="x", price=2.5),
        state("silent", "2026-01-01", None), state("soon", "2026-03-01", False),
        # The shop heard of it after the moment.
        state("unheard", "2026-01-01", False, known_at="2026-03-01"),
    ]  # fmt: skip
    warehouse.replace(frame(spark, ITEMS_HISTORY, rows), ITEMS_HISTORY)
    assert unavailable_at(warehouse, "2026-02-02") == ["gone"]
    assert unavailable_at(warehouse, "2026-04-01") == ["gone", "soon", "unheard"]
    every = {row["item_id"]: row for row in item_states(warehouse, moment("2026-02-02")).to_pylist()}
    assert sorted(every) == ["back", "gone", "silent"]
    assert (every["back"]["brand"], every["back"]["price"], every["back"]["available"]) == ("x", 2.5, True)
    assert every["gone"]["attributes"] == [("stock", "0")]


def current_rules(
    warehouse: Warehouse, folder: Path, at: list[str], notify: Callable[[str], None] = pytest.fail
) -> CurrentRules:
    return CurrentRules(warehouse, folder, RuleParameters(100, 100), 0, lambda: moment(at[0]), notify)


def settled(rules: CurrentRules) -> Path | None:
    """The rules in force once a change has been noticed and compiled."""
    rules()
    rules.wait()
    return rules()


def left_out(folder: Path | None) -> list[str]:
    assert folder is not None
    items = pa.array(["a", "b", "c"])
    return items.take(pa.array(RulesOfModel(CompiledRules.load(folder), items).left_out_for_all())).to_pylist()


def write_rules(spark: SparkSession, warehouse: Warehouse, *definitions: dict[str, Any]) -> None:
    rows = [
        {"position": n, "name": f"r{n}", "definition": json.dumps({"name": f"r{n}", **one}), "written_at": "2026-01-01"}
        for n, one in enumerate(definitions, 1)
    ]
    warehouse.replace(frame(spark, MERCHANDISING_RULES, rows), MERCHANDISING_RULES)


NO_C = {"action": "exclude", "items": {"item_id": "c"}}


def test_the_rules_in_force_follow_tables_and_time(spark: SparkSession, warehouse: Warehouse, tmp_path: Path) -> None:
    at = ["2026-04-01"]
    rules = current_rules(warehouse, tmp_path / "rules", at)
    assert rules() is None
    warehouse.replace(frame(spark, ITEMS_HISTORY, [state("a", "2026-01-01", False)]), ITEMS_HISTORY)
    assert left_out(rules()) == ["a"]
    assert rules() == rules()
    write_rules(spark, warehouse, {**NO_C, "starts": "2026-05-01", "ends": "2026-06-01"})
    assert left_out(rules()) == ["a"]
    at[0] = "2026-05-01"
    assert left_out(rules()) == ["a", "c"]
    at[0] = "2026-06-01"
    assert left_out(settled(rules)) == ["a"]
    warehouse.replace(frame(spark, ITEMS_HISTORY, [state("a", "2026-02-01", True)]), ITEMS_HISTORY)
    assert rules() is None


def test_while_rules_are_compiled_again_the_earlier_ones_hold(
    spark: SparkSession, warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = current_rules(warehouse, tmp_path / "rules", ["2026-04-01"])
    write_rules(spark, warehouse, NO_C)
    assert left_out(rules()) == ["c"]
    may_go_on = threading.Event()

    def slow(*what: Any) -> CompiledRules:
        assert may_go_on.wait(60)
        return rules_in_force(*what)

    monkeypatch.setattr(module_of_current_rules, "rules_in_force", slow)
    warehouse.replace(frame(spark, ITEMS_HISTORY, [state("a", "2026-01-01", False)]), ITEMS_HISTORY)
    assert [left_out(rules()) for _ in range(3)] == [["c"]] * 3
    may_go_on.set()
    rules.wait()
    assert left_out(rules()) == ["a", "c"]
    rules.close()


def test_rules_that_cannot_be_read_leave_the_earlier_ones_in_force(
    spark: SparkSession, warehouse: Warehouse, tmp_path: Path
) -> None:
    messages: list[str] = []
    rules = current_rules(warehouse, tmp_path / "rules", ["2026-04-01"], messages.append)
    write_rules(spark, warehouse, NO_C)
    before = rules()
    write_rules(spark, warehouse, {**NO_C, "action": "exlude"})
    assert [settled(rules), settled(rules)] == [before, before]
    [message] = messages
    assert "the earlier rules stay in force: table merchandising_rules: rule 1 'r1': action must be one of" in message
    with pytest.raises(InputError, match=r"did you mean exclude\?"):
        current_rules(warehouse, tmp_path / "rules", ["2026-04-01"])()
    write_rules(spark, warehouse, {**NO_C, "enabled": False})
    assert settled(rules) is None


@pytest.mark.parametrize(("text", "words"), [("{", "is not valid JSON"), ("[]", "is not a JSON object")])
def test_a_row_that_is_no_json_object_is_reported(
    spark: SparkSession, warehouse: Warehouse, text: str, words: str
) -> None:
    row = {"position": 1, "name": "r", "definition": text, "written_at": "2026-01-01"}
    warehouse.replace(frame(spark, MERCHANDISING_RULES, [row]), MERCHANDISING_RULES)
    with pytest.raises(InputError, match=f"table merchandising_rules: a definition {words}"):
        written_rules(warehouse)


def test_compiled_rules_in_use_stay_however_old_they_are(
    spark: SparkSession, warehouse: Warehouse, tmp_path: Path
) -> None:
    folder = tmp_path / "rules"
    rules = current_rules(warehouse, folder, ["2026-04-01"])
    warehouse.replace(frame(spark, ITEMS_HISTORY, [state("a", "2026-01-01", False)]), ITEMS_HISTORY)
    mine = rules()
    assert mine is not None
    others = [compiled((), [catalogue_item(name, available=False)]).save(folder) for name in "bcdef"]
    for path in (mine, others[0]):
        os.utime(path, (0, 0))
    assert rules() == mine
    drop_unused(folder, before=moment("2026-04-01"))
    assert {*folder.iterdir()} == {mine, *others[1:]}
    # Removed by hand, they are compiled again.
    shutil.rmtree(mine)
    assert rules() == mine
    assert left_out(mine) == ["a"]


def test_a_catalogue_is_ingested_again_once_another_has_changed_the_states(
    spark: SparkSession, home: Home, tmp_path: Path
) -> None:
    job = Job(spark, home, load_settings("test"))
    assert [with_stock(job, tmp_path, "i7,0,3.5") for _ in range(2)] == [DONE, UP_TO_DATE]
    job.warehouse.replace(frame(spark, ITEMS_HISTORY, [state("i7", "2026-01-01", True)]), ITEMS_HISTORY)
    assert [with_stock(job, tmp_path, "i7,0,3.5") for _ in range(2)] == [DONE, UP_TO_DATE]
    assert unavailable_at(job.warehouse, "2200-01-01") == ["i7"]


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


def test_rules_steer_the_lists_of_a_running_stream(spark: SparkSession, tmp_path: Path) -> None:
    job = served_job(spark, tmp_path / "home")
    feed, messages = feed_of(tmp_path / "clicks"), list[str]()
    with running(job, feed, notify=messages.append):
        put(feed.path, "a.json", click(1, "ann", "i5"), click(2, "ann", "i7"), click(3, "ann", "i7"))
        until(lambda: lists_now(job).get("ann", [])[:3] == ["i7", "i5", "i0"])
        pin = {"action": "pin", "position": 1, "items": {"item_id": "i3"}}
        write_rules(spark, job.warehouse, {"action": "exclude", "items": {"item_id": "i7"}}, pin)
        put(feed.path, "b.json", click(4, "ann", "i7"))
        until(lambda: lists_now(job)["ann"][:4] == ["i3", "i5", "i0", "i1"])
        # A row that is no rule changes nothing, and the service says so.
        write_rules(spark, job.warehouse, {"action": "pni"})
        put(feed.path, "c.json", click(5, "bob", "i7"))
        until(lambda: lists_now(job).get("bob", [])[:3] == ["i3", "i0", "i1"])
        clicks = itertools.count(6)

        def after_a_click(user: str, condition: Callable[[], bool]) -> bool:
            """Whether it holds; a micro-batch notices that rules have been compiled while others were served."""
            number = next(clicks)
            put(feed.path, f"{number}.json", click(number, user, "i7"))
            return condition()

        def is_reported() -> bool:
            return any("the earlier rules stay in force" in text for text in messages)

        until(lambda: after_a_click("bob", is_reported))
        write_rules(spark, job.warehouse)
        until(lambda: after_a_click("ann", lambda: lists_now(job)["ann"][:3] == ["i7", "i5", "i0"]))
    reasons = {one["item_id"]: one["reason"] for row in rows_of(job, RECOMMENDATION_UPDATES, "user_id", "items")
               if row["user_id"] == "bob" for one in row["items"]}  # fmt: skip
    assert {item for item, reason in reasons.items() if reason == "promoted"} == {"i3"}


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
