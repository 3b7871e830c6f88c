"""The store of histories: exact, whole or not at all, the same when repeated."""

import random
import sqlite3
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freshet.contracts.shoppers import ANONYMOUS_PREFIX
from freshet.core.errors import BusyError, StateError
from freshet.service.lists.history_updates import apply_events, load_history
from freshet.service.lists.logins import customers_at, read, runs_with, written
from tests.stream_rows import entry, stream_rows
from tests.streaming.small_store import MOST, due, keys, opened, visit


def slow_histories(rows: list[dict[str, Any]]) -> dict[str, list[int]]:
    """Keys of each history by the words of contracts.identity: the next login under an id, or one at the same time."""
    own: dict[str, dict[int, int]] = {}
    for row in rows:
        if row["item_id"] is None:
            continue
        own.setdefault(row["user_id"], {})[row["entry_key"]] = row["event_time"]
        later = sorted((other["event_time"], other["user_id"]) for other in rows
                       if other["session"] == row["user_id"] and other["event_time"] >= row["event_time"])  # fmt: skip
        if later:
            own.setdefault(later[0][1], {})[row["entry_key"]] = row["event_time"]
    return {
        user: [key for _, key in sorted(((time, key) for key, time in found.items()), reverse=True)][:MOST]
        for user, found in own.items()
    }


@pytest.mark.parametrize("seed", range(8))
def test_many_micro_batches_make_the_histories_that_the_rule_says(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    rows = [
        entry(
            user=draw.choice([None, None, None, "ann", "bob"]), device=draw.choice(["x", "y", "z"]),
            item=f"i{draw.randint(0, 9)}", at=draw.randint(3 * n, 3 * n + 2), key=draw.randint(-(2**60), 2**60),
        )
        for n in range(60)
    ]  # fmt: skip
    store, ends = opened(tmp_path), sorted(draw.sample(range(60), 6))
    for number, (first, last) in enumerate(zip([0, *ends], [*ends, 60], strict=True)):
        batch = stream_rows(draw.sample(rows[first:last], last - first))
        applied = apply_events(store, batch, number)
        # Repeated after a crash, and sent again: neither changes anything.
        assert apply_events(store, batch, number).due == applied.due
    expected = slow_histories(rows)
    assert keys(store, *expected) == list(expected.values())
    assert store.shoppers == len(expected)
    assert store.batch == len(ends)
    assert store.clock == datetime(1970, 1, 1) + timedelta(microseconds=max(row["event_time"] for row in rows))


def test_a_new_process_goes_on_where_the_last_one_was(tmp_path: Path) -> None:
    first = opened(tmp_path)
    apply_events(first, stream_rows([visit(1, item="i1"), visit(2, item="i2")]), 0)
    first.close()
    again = opened(tmp_path)
    apply_events(again, stream_rows([visit(3, item="i2"), visit(4, user="ann", item=None)]), 1)
    past = again.histories(["ann"])
    assert (again.shoppers, again.batch, past.items.to_pylist()) == (2, 1, ["i1", "i2"])
    assert keys(again, "ann", "anon:x", "nobody") == [[3, 2, 1], [3, 2, 1], []]


def test_whose_list_is_due(tmp_path: Path) -> None:
    store = opened(tmp_path)
    assert due(apply_events(store, stream_rows([visit(1), entry(user="bob", item="i", at=1, key=2)]), 0)) == [
        "anon:x",
        "bob",
    ]
    # A customer who logs in has a list though nothing else is new; the session has none while it is known.
    applied = apply_events(store, stream_rows([visit(3, user="ann", item=None)]), 1)
    assert (due(applied), applied.shoppers) == (["ann"], 2)
    # Logged out again.
    assert due(apply_events(store, stream_rows([visit(4)]), 2)) == ["anon:x"]
    # What arrives late and was done before the login is the customer's.
    late = visit(2)
    applied = apply_events(store, stream_rows([late]), 3)
    assert keys(store, "ann", "anon:x") == [[2, 1], [4, 2, 1]]
    # Seen and known in one micro-batch, and what arrives late and was done before: the session has no list.
    first = [visit(10, device="z"), visit(12, device="z", user="dan", item=None)]
    assert due(apply_events(store, stream_rows(first), 4)) == ["dan"]
    assert due(apply_events(store, stream_rows([visit(11, device="z")]), 5)) == []
    # Logging in without ever having done anything is no reason for a list.
    assert due(apply_events(store, stream_rows([visit(5, device="y", user="cat", item=None)]), 6)) == []


def test_the_receipt_is_that_of_the_newest_event_of_the_micro_batch(tmp_path: Path) -> None:
    rows = [{**visit(1), "received_time": 70}, {**visit(2), "received_time": 50}]
    applied = apply_events(opened(tmp_path), stream_rows(rows), 0).due
    assert applied.column("newest_received_time").cast("int64").to_pylist() == [70]


def test_an_event_that_is_sent_again_with_another_time_keeps_its_first(tmp_path: Path) -> None:
    store = opened(tmp_path)
    apply_events(store, stream_rows([visit(1), visit(2)]), 0)
    apply_events(store, stream_rows([{**visit(1), "event_time": 9}]), 1)
    assert keys(store, "anon:x") == [[2, 1]]


def test_an_interrupted_micro_batch_is_in_it_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = opened(tmp_path)
    apply_events(store, stream_rows([visit(1, item="i1")]), 0)
    with monkeypatch.context() as patched:
        patched.setattr(store, "note", lambda **_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            apply_events(store, stream_rows([visit(2, item="new"), entry(user="bob", item="newer", at=3, key=3)]), 1)
    assert (store.batch, store.shoppers, keys(store, "anon:x", "bob")) == (0, 1, [[1], []])
    apply_events(store, stream_rows([visit(2, item="i2")]), 1)
    assert store.histories(["anon:x"]).items.to_pylist() == ["i1", "i2"]


def test_a_micro_batch_that_is_missing_is_noticed(tmp_path: Path) -> None:
    store = opened(tmp_path)
    apply_events(store, stream_rows([visit(1)]), 0)
    with pytest.raises(StateError, match=r"micro-batch 1.*found micro-batch 0.*--rebuild"):
        apply_events(store, stream_rows([visit(2)]), 2)


def test_a_damaged_file_is_reported_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "store.db").write_bytes(b"no database at all " * 1000)
    with pytest.raises(StateError, match="--rebuild"):
        opened(tmp_path)


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    first = opened(tmp_path)
    apply_events(first, stream_rows([visit(1)]), 0)
    with pytest.raises(BusyError, match="another process has the histories of the stream open"):
        opened(tmp_path)


def test_a_full_disk_is_reported_as_such(tmp_path: Path) -> None:
    store = opened(tmp_path)
    apply_events(store, stream_rows([visit(1)]), 0)
    base: sqlite3.Connection = vars(store)["_base"]
    (pages,) = base.execute("pragma page_count").fetchone()
    base.execute(f"pragma max_page_count = {pages}")
    many = [entry(user=f"u{n}", item="i", at=n, key=n) for n in range(2000)]
    with pytest.raises(OSError, match="No space left on device"):
        apply_events(store, stream_rows(many), 1)
    assert (store.batch, store.shoppers) == (0, 1)


def test_the_past_is_added_with_its_logins(tmp_path: Path) -> None:
    store = opened(tmp_path)
    # As the batch joins them: the session's entry stands under the customer too.
    joined = {**visit(1), "user_id": "ann", "session": "anon:x"}
    load_history(store, stream_rows([visit(1), joined, visit(2, user="ann")]))
    assert (store.batch, keys(store, "ann", "anon:x")) == (-1, [[2, 1], [1]])
    assert store.clock == datetime(1970, 1, 1) + timedelta(microseconds=2)
    apply_events(store, stream_rows([visit(3), visit(4, user="bob")]), 0)
    assert keys(store, "ann", "bob") == [[2, 1], [4, 3]]


@settings(max_examples=100)
@given(st.lists(st.tuples(st.integers(0, 30), st.sampled_from("ab")), min_size=1, max_size=12), st.integers(0, 30))
def test_runs_know_who_logs_in_next(logins: list[tuple[int, str]], moment: int) -> None:
    runs: list[tuple[int, str]] = []
    for login in sorted(logins):
        runs = runs_with(runs, [login])
    later = sorted(login for login in logins if login[0] >= moment)
    assert customers_at(runs, np.array([moment])) == [later[0][1] if later else None]
    assert read(written(runs)) == runs


def test_logins_of_one_customer_in_a_row_are_one_run_and_the_newest_runs_are_kept() -> None:
    assert runs_with([(1, "a")], [(3, "b"), (2, "a")]) == [(2, "a"), (3, "b")]
    many = [(n, "ab"[n % 2]) for n in range(40)]
    assert runs_with([], many) == many[-16:]


def test_more_event_names_than_there_are_codes_are_refused(tmp_path: Path) -> None:
    store = opened(tmp_path)
    rows = [entry(user="ann", item="i", at=n, key=n, name=f"event{n}") for n in range(1025)]
    with pytest.raises(StateError, match="too many event names"):
        apply_events(store, stream_rows(rows), 0)
    apply_events(store, stream_rows(rows[:1024]), 0)


def test_prefix_of_anonymous_ids_is_what_these_tests_say() -> None:
    assert ANONYMOUS_PREFIX == "anon:"
