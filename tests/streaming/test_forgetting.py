"""Shoppers who do not come back are forgotten, some at a time, and nobody gets the past of another."""

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from freshet.runs.settings import load_settings
from freshet.service.lists.forgetting import Forgetting
from freshet.service.lists.history_updates import apply_events
from tests.stream_rows import entry, stream_rows
from tests.streaming.small_store import keys, opened, visit


def test_shoppers_who_have_not_been_back_are_forgotten_each_kind_by_its_own_age(tmp_path: Path) -> None:
    store = opened(tmp_path)
    rows = [entry(user=f"u{n}", item="i", at=n, key=n) for n in range(20)]
    rows += [visit(n, device=f"d{n:02d}") for n in range(20)]
    rows += [visit(n, device=f"d{n:02d}", user=f"u{n}", item=None) for n in (3, 12, 16)]
    rows += [visit(4, device="seen-at-login-only", user="u4", item=None)]
    apply_events(store, stream_rows(rows), 0)
    assert store.shoppers == 40
    after: str | None = ""
    forgotten = 0
    turns = 0
    while after is not None:
        gone, after = store.forget(after=after, at_most=7, before=10, anonymous_before=15)
        forgotten, turns = forgotten + gone, turns + 1
    assert (forgotten, turns, store.shoppers) == (25, 6, 15)
    left = store.newest_times([*(f"u{n}" for n in range(20)), *(f"anon:d{n:02d}" for n in range(20))])
    assert sorted(left) == [*(f"anon:d{n}" for n in range(15, 20)), *(f"u{n}" for n in range(10, 20))]
    every = ["anon:d03", "anon:d12", "anon:d16", "anon:seen-at-login-only"]
    after, turns = "", 0
    while after is not None:
        after, turns = store.forget_logins(after=after, at_most=3, before=15), turns + 1
    assert (list(store.logins(every)), turns) == (["anon:d16"], 2)
    # Who comes back begins anew; the rest is as it was.
    apply_events(
        store, stream_rows([entry(user="u3", item="i", at=30, key=99), entry(user="u12", item="i", at=31, key=98)]), 1
    )
    assert keys(store, "u3", "u12") == [[99], [98, 12]]
    assert store.shoppers == 16


def test_a_device_that_is_still_used_keeps_its_logins_so_that_nobody_gets_the_past_of_another(tmp_path: Path) -> None:
    store = opened(tmp_path)
    apply_events(store, stream_rows([visit(1), visit(2, user="ann", item=None), visit(50)]), 0)
    assert store.forget(after="", at_most=9, before=10, anonymous_before=10) == (1, None)  # ann
    assert store.forget_logins(after="", at_most=9, before=10) is None
    apply_events(store, stream_rows([visit(60, user="bob", item=None)]), 1)
    assert keys(store, "bob") == [[50]]


def test_nobody_is_forgotten_where_that_is_switched_off(tmp_path: Path) -> None:
    store = opened(tmp_path)
    apply_events(store, stream_rows([visit(1), visit(2, user="ann"), entry(user="bob", item="i", at=1, key=5)]), 0)
    assert store.forget(after="", at_most=2, before=None, anonymous_before=None) == (0, "anon:x")
    assert store.forget(after="anon:x", at_most=2, before=None, anonymous_before=None) == (0, None)
    assert store.forget_logins(after="", at_most=2, before=None) is None
    assert list(store.logins(["anon:x"])) == ["anon:x"]


def test_a_walk_takes_turns_by_the_clock_and_ages_by_the_events(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("freshet.service.lists.forgetting._SHOPPERS_AT_A_TIME", 2)
    day = 86_400_000_000
    store = opened(tmp_path)
    old = [entry(user=f"u{n}", item="i", at=n * day, key=n) for n in range(5)]
    apply_events(store, stream_rows(old), 0)
    moment = datetime(2030, 1, 1)
    rest = timedelta(hours=1)
    params = replace(load_settings().service, history_days=2.5, anonymous_history_days=0.0)
    walk = Forgetting(store, params, rest=rest, now=lambda: moment)
    found = []
    for seconds in (0, 6, 1, 6, 6, 6, 3601):
        moment += timedelta(seconds=seconds)
        found.append(walk.between_batches())
    # Ages are 4 to 0 days: u0 and u1 go in the first turn; no turn comes too early, none before the rest is over.
    assert found == [0, 2, 0, 0, 0, 0, 0]
    assert store.shoppers == 3
    apply_events(store, stream_rows([entry(user="u9", item="i", at=9 * day, key=9)]), 1)
    again = []
    for _ in range(3):
        moment += rest
        again.append(walk.between_batches())
    assert again == [1, 0, 2]
