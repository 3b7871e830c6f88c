"""Every protocol against a hand-made example, and what holds for all data."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from freshet.lab import (
    NEW_ITEMS,
    NEXT_BASKETS,
    InputError,
    Interactions,
    Split,
    given_split,
    hold_out,
    last_basket,
    leave_one_out,
    random_share,
    session_next_item,
    time_split,
)
from freshet.lab.interactions import SOME_MOMENT
from tests.benchmarks.tables.ml_100k import stratified

ROWS = [
    # user, item, day, basket, session
    ("u", "a", 1, "b1", "s1"),
    ("u", "b", 1, "b1", "s1"),
    ("v", "a", 2, "b2", "s2"),
    ("u", "c", 3, "b3", "s3"),
    ("v", "d", 4, "b4", "s4"),
    ("u", "a", 3, "b3", "s3"),
    ("v", "e", 4, "b4", "s4"),
    ("v", "d", 5, "b4", "s4"),
    ("w", "a", 6, "b5", "s5"),
]


def _data(*without: str) -> Interactions:
    names = ("user_id", "item_id", "time", "basket", "session")
    columns: dict[str, Any] = dict(zip(names, zip(*ROWS, strict=True), strict=True))
    columns["time"] = [datetime(2020, 1, day) for day in columns["time"]]
    return Interactions.of({name: list(values) for name, values in columns.items() if name not in without})


def cases(split: Split) -> dict[str, tuple[list[str], list[str]]]:
    """By case the items of the history, newest first, and the truth."""
    rows = split.cases.table.to_pylist()
    return {row["user_id"]: ([entry["item_id"] for entry in row["history"]], row["truth"]) for row in rows}


def trained(split: Split) -> list[tuple[str, str]]:
    """(user, item) of the training rows, in their order."""
    table = split.train.table
    return list(zip(table.column("user_id").to_pylist(), table.column("item_id").to_pylist(), strict=True))


def test_last_basket_by_the_column_of_baskets() -> None:
    split = last_basket(_data())
    assert cases(split) == {"u": (["b", "a"], ["a", "c"]), "v": (["a"], ["d", "e"])}
    # w has one basket, so no case.
    assert trained(split) == [("u", "a"), ("u", "b"), ("v", "a"), ("w", "a")]
    assert split.policy == NEXT_BASKETS


def test_last_basket_by_time_alone() -> None:
    split = last_basket(_data("basket"))
    assert cases(split) == {"u": (["b", "a"], ["a", "c"]), "v": (["e", "d", "a"], ["d"])}


def test_ages_of_a_history_are_as_of_the_last_basket() -> None:
    split = last_basket(_data())
    times = {row["user_id"]: [entry["event_time"] for entry in row["history"]] for row in split.cases.table.to_pylist()}
    # u's last basket came two days after the first, v's two days after its first. The newest training row is w's.
    assert split.clock == datetime(2020, 1, 6, 0, 0, 0, 1)
    assert {split.clock - time for own in times.values() for time in own} == {timedelta(days=2)}


def test_leave_one_out_takes_the_newest_row_of_users_with_several() -> None:
    split = leave_one_out(_data())
    assert cases(split) == {"u": (["c", "b", "a"], ["a"]), "v": (["e", "d", "a"], ["d"])}
    assert ("w", "a") in trained(split)
    assert len(split.train) == len(ROWS) - 2
    # Both true items were had before, so that none is new.
    assert split.cases.truth(split.policy).column("items").to_pylist() == [[], []]
    assert split.cases.truth(NEXT_BASKETS).column("items").to_pylist() == [["a"], ["d"]]


def test_leave_one_out_without_times_takes_the_last_row() -> None:
    assert cases(leave_one_out(_data("time", "basket")))["u"] == (["c", "b", "a"], ["a"])


def test_a_session_gives_a_case_for_every_next_item() -> None:
    data = _data()
    split = session_next_item(data, share=0.4)
    # The newest two of five sessions by their last row are s5, which has one row, and s4.
    assert cases(split) == {"s4/2": (["d"], ["e"]), "s4/3": (["e", "d"], ["d"])}
    assert {user for user, _ in trained(split)} == {"s1", "s2", "s3"}
    assert split.clock == split.train.as_of
    newest = [row["history"][0]["event_time"] for row in split.cases.table.to_pylist()]
    assert [split.clock - time for time in newest] == [timedelta(0), timedelta(days=1)]


def test_a_time_split_asks_for_rows_on_both_sides() -> None:
    for at in (datetime(2020, 1, 4), datetime.fromisoformat("2020-01-04T01:00:00+01:00")):
        split = time_split(_data(), at=at)
        assert cases(split) == {"v": (["a"], ["d", "e"])}
        assert split.clock == datetime(2020, 1, 4)
    assert len(split.train) == 5
    assert time_split(_data(), share=0.4).clock == datetime(2020, 1, 4)


def test_a_given_split_has_histories_of_its_own() -> None:
    train = Interactions.of({"user_id": [1, 2], "item_id": ["a", "b"]})
    truth = Interactions.of({"user_id": [1, 3, 3, 9], "item_id": ["c", "b", "b", "a"]})
    own = Interactions.of({"user_id": [3, 4], "item_id": ["a", "b"]})
    assert cases(given_split(train, truth)) == {"1": (["a"], ["c"])}
    split = given_split(train, truth, history=own)
    assert cases(split) == {"3": (["a"], ["b"])}
    assert not split.cases.of_train


def test_a_random_share_takes_the_rows_of_recommenders() -> None:
    chance = np.random.default_rng(3)
    items = chance.integers(0, 30, 700)
    data = Interactions.of({"user_id": chance.integers(0, 20, 700), "item_id": [f"{n:02d}" for n in items]})
    for seed in (42, 7):
        wanted = stratified(np.unique(items, return_inverse=True)[1], seed)
        split = random_share(data, within="item_id", seed=seed)
        assert split.train.table.equals(data.table.filter(wanted))


def test_a_split_with_nothing_to_judge_is_refused() -> None:
    data = _data()
    for mask in (np.zeros(len(ROWS), dtype=bool), np.ones(len(ROWS), dtype=bool)):
        with pytest.raises(InputError, match="no user has both a history and a truth"):
            hold_out(data, mask)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (last_basket, "last_basket without the column basket needs the column time"),
        (time_split, "time_split needs the column time"),
        (session_next_item, "session_next_item needs the column session"),
        (lambda data: random_share(data, share=1.0), "random_share.*above 0 and below 1; found 1.0"),
        (lambda data: random_share(data, within="time"), "expected None, item_id or user_id; found time"),
        (lambda data: leave_one_out(data, policy="all"), "no such policy; expected next_baskets or new_items"),
        (lambda data: hold_out(data, [1] * 9), "a mask of rows must be 9 truth values, is int64"),
    ],
)
def test_what_a_protocol_lacks_is_said(make: Callable[[Interactions], Split], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make(_data("time", "basket", "session"))


def test_ids_of_different_types_are_not_compared() -> None:
    numbers, names = (Interactions.of({"user_id": [1], "item_id": [item]}) for item in (5, "5"))
    with pytest.raises(InputError, match="item ids of the parts have different types"):
        given_split(numbers, names)


PROTOCOLS: dict[str, Callable[[Interactions], Split]] = {
    "last_basket": last_basket,
    "leave_one_out": leave_one_out,
    "session_next_item": session_next_item,
    "time_split": time_split,
    "random_share": lambda data: random_share(data, within="user_id", policy=NEXT_BASKETS),
}

row = st.tuples(st.integers(0, 4), st.integers(0, 5), st.integers(0, 9))


@pytest.mark.parametrize("name", PROTOCOLS)
@given(rows=st.lists(row, min_size=2, max_size=40))
def test_train_and_truth_share_no_row_and_a_history_precedes_its_truth(name: str, rows: list[tuple]) -> None:
    # Each row has an item of its own, by which it is known again.
    users, _, days = zip(*rows, strict=True)
    data = Interactions.of(
        {
            "user_id": users,
            "item_id": [f"{n:03d}" for n in range(len(rows))],
            "time": [SOME_MOMENT + timedelta(days=day) for day in days],
            "session": [user * 10 + day // 3 for user, _, day in rows],
        }
    )
    try:
        split = PROTOCOLS[name](data)
    except InputError as error:
        assume("nothing to" not in str(error))
        raise
    day_of = {f"{n:03d}": day for n, day in enumerate(days)}
    learnt = {item for _, item in trained(split)}
    for history, truth in cases(split).values():
        assert truth
        assert not learnt & set(truth)
        assert not set(history) & set(truth)
        if name != "random_share":
            assert max(day_of[item] for item in history) <= min(day_of[item] for item in truth)
        if name in ("time_split", "last_basket"):
            assert max(day_of[item] for item in history) < min(day_of[item] for item in truth)
        if split.cases.of_train:
            assert set(history) <= learnt
        assert [day_of[item] for item in history] == sorted((day_of[item] for item in history), reverse=True)
    for row in split.cases.table.to_pylist():
        assert all(entry["event_time"] <= split.clock for entry in row["history"])


def test_new_items_are_true_only_where_the_history_lacks_them() -> None:
    train = Interactions.of({"user_id": [1, 1, 2], "item_id": ["a", "b", "a"]})
    truth = Interactions.of({"user_id": [1, 1, 2], "item_id": ["b", "c", "a"]})
    split = given_split(train, truth)
    assert split.cases.truth(NEW_ITEMS).column("items").to_pylist() == [["c"], []]
    assert split.cases.truth(NEXT_BASKETS).column("items").to_pylist() == [["b", "c"], ["a"]]
