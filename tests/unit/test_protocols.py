"""Protocols of the evaluation: which shoppers of a window are cases, from which histories, with which items."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyspark.sql import DataFrame, SparkSession

from freshet.contracts.operations import PROTOCOLS
from freshet.core.errors import SettingsError
from freshet.evaluation.protocols import (
    LEAVE_LAST_BASKET,
    NEXT_IN_SESSION,
    TIME_SPLIT,
    ProtocolParameters,
    last_basket_cases,
    time_split_cases,
)
from freshet.evaluation.splitting import known_before
from freshet.features.interactions import histories
from freshet.runs.settings import load_settings
from tests.factories import Row, event, events_frame, moment

START, END = moment("2020-03-10"), moment("2020-03-20")
NAMES = ("purchase", "view_item")


def _histories(spark: SparkSession, events: list[Row], *, before: datetime) -> DataFrame:
    return histories(known_before(events_frame(spark, events), before), max_events=50, event_names=NAMES)


def _last_baskets(
    spark: SparkSession, events: list[Row], target: str = "purchase", visit_minutes: float | None = None
) -> dict[str, tuple[list, list]]:
    """By shopper the history, as (item, event, time), newest first, and the truth."""
    made = last_basket_cases(
        _histories(spark, events, before=END), target=target, start=START, visit_minutes=visit_minutes
    )
    return {
        row["user_id"]: (
            [(entry["item_id"], entry["event_name"], entry["event_time"]) for entry in row["history"]], row["truth"],
        )
        for row in made.collect()
    }  # fmt: skip


def test_a_time_split_asks_for_a_target_event_before_and_in_the_window(spark: SparkSession) -> None:
    events = [
        event(user="back", item="a", at="2020-03-01"), event(user="back", item="c", at="2020-03-12"),
        event(user="back", item="b", at="2020-03-11"), event(user="back", item="c", at="2020-03-15"),
        event(user="gone", item="a", at="2020-03-01"), event(user="new", item="a", at="2020-03-12"),
        event("view_item", user="looked", item="a", at="2020-03-01"),
        event(user="looked", item="a", at="2020-03-12"),
    ]  # fmt: skip
    earlier = _histories(spark, events, before=START)
    made = time_split_cases(earlier, events_frame(spark, events), target="purchase", start=START, end=END).collect()
    assert [(row["user_id"], [e["item_id"] for e in row["history"]], row["truth"]) for row in made] == [
        ("back", ["a"], ["b", "c"])
    ]


def test_the_last_basket_is_left_out_with_all_of_its_order_and_moment(spark: SparkSession) -> None:
    events = [
        event("view_item", item="seen", at="2020-03-09 10:00"),
        event(item="before", at="2020-03-11", order="o1"),
        event("view_item", item="z", at="2020-03-12 11:00"),
        event(item="z", at="2020-03-12 12:00", order="o2"),
        event("view_item", item="late", at="2020-03-12 12:00:30"),
        event(item="y", at="2020-03-12 12:01", order="o2"),
        event(item="x", at="2020-03-12 12:01", order="o3"),
        event(item="z", at="2020-03-12 12:01", order="o2"),
    ]
    # The basket began at 12:00 on the 12th: 60.5 hours after the clock.
    shift = timedelta(hours=60)
    assert _last_baskets(spark, events) == {
        "u1": (
            [
                ("z", "view_item", moment("2020-03-12 11:00") - shift),
                ("before", "purchase", moment("2020-03-11") - shift),
                ("seen", "view_item", moment("2020-03-09 10:00") - shift),
            ],
            ["x", "y", "z"],
        )
    }


def test_all_of_the_visit_of_the_last_basket_is_left_out(spark: SparkSession) -> None:
    events = [
        event("view_item", item="earlier", at="2020-03-12 10:00"),
        event("view_item", item="a", at="2020-03-12 11:00"),
        event("view_item", item="b", at="2020-03-12 11:30"),
        event(item="b", at="2020-03-12 11:59", order="o1"),
    ]
    found = {minutes: _last_baskets(spark, events, visit_minutes=minutes) for minutes in (20.0, 30.0, 60.0)}
    ((twenty, _),), ((thirty, true),) = found[20.0].values(), found[30.0].values()
    assert [(item, at) for item, _, at in twenty] == [
        ("b", START - timedelta(minutes=29)), ("a", START - timedelta(minutes=59)),
        ("earlier", START - timedelta(minutes=119)),
    ]  # fmt: skip
    # The visit began at 11:00.
    assert ([(item, at) for item, _, at in thirty], true) == ([("earlier", START - timedelta(hours=1))], ["b"])
    assert found[60.0] == {}


def test_a_session_is_judged_by_its_last_click(spark: SparkSession) -> None:
    clicks = [
        event("view_item", user=None, anonymous_id="s", item=item, at=f"2020-03-11 10:0{n}")
        for n, item in enumerate(["a", "b", "a", "c"])
    ]
    ((shopper, (history, true)),) = _last_baskets(spark, clicks, target="view_item").items()
    assert (shopper, [item for item, *_ in history], true) == ("anon:s", ["a", "b", "a"], ["c"])


@pytest.mark.parametrize(
    "events",
    [
        [event(at="2020-03-11")],
        [event("view_item", at="2020-03-11")],
        [event("view_item", at="2020-03-01"), event(at="2020-03-09 23:59:59")],
        [event("view_item", at="2020-03-01"), event(at="2020-03-20")],
        [event(at="2020-03-11", order="o"), event("view_item", item="i2", at="2020-03-11 01:00")],
    ],
    ids=["only-one-basket", "no-target", "before-the-window", "at-its-end", "nothing-before-the-basket"],
)
def test_who_cannot_be_judged_is_no_case(spark: SparkSession, events: list[Row]) -> None:
    assert _last_baskets(spark, events) == {}


@pytest.mark.parametrize("minutes", [None, 0.01])
def test_long_histories_are_read_once(spark: SparkSession, minutes: float | None) -> None:
    """The plan computes the basket once per shopper: 20,000 entries would otherwise be read 20,000 times."""
    entry = (
        "named_struct('event_time', timestamp'2020-03-15' - make_interval(0,0,0,0,0,0,n), 'entry_key', n, 'item_id', "
    )
    entry += "concat('i', n), 'event_name', 'purchase', 'order_id', concat('o', n))"
    long = spark.sql(f"select 'u' as user_id, transform(sequence(0L, 19999L), n -> {entry}) as history")
    ((history, true),) = [
        (row["history"], row["truth"])
        for row in last_basket_cases(long, target="purchase", start=START, visit_minutes=minutes).collect()
    ]
    assert (len(history), true) == (19_999, ["i0"])


_EVENTS = st.lists(
    st.tuples(
        st.sampled_from("uv"), st.sampled_from("abc"), st.sampled_from(NAMES), st.integers(0, 12),
        st.sampled_from(["o1", "o2", None]),
    ),
    max_size=9,
)  # fmt: skip


@settings(max_examples=15, deadline=None)
@given(drawn=_EVENTS)
def test_last_baskets_equal_a_plain_loop(
    spark: SparkSession, drawn: list[tuple[str, str, str, int, str | None]]
) -> None:
    """Days 0 to 12; the window is [5, 10)."""
    zero = START - timedelta(days=5)
    events = [
        event(name, user=user, item=item, at=zero + timedelta(days=day), order=order, event_id=f"e{n}")
        for n, (user, item, name, day, order) in enumerate(drawn)
    ]
    end = zero + timedelta(days=10)
    found = {
        row["user_id"]: (sorted((e["item_id"], e["event_time"]) for e in row["history"]), row["truth"])
        for row in last_basket_cases(
            _histories(spark, events, before=end), target="purchase", start=START, visit_minutes=None
        ).collect()
    }
    expected = {}
    by_shopper = defaultdict(list)
    for n, (user, item, name, day, order) in enumerate(drawn):
        if day < 10:
            by_shopper[user].append((day, item, name, order or f"e{n}"))
    for user, own in by_shopper.items():
        bought = [one for one in own if one[2] == "purchase"]
        last = max((day for day, *_ in bought), default=-1)
        if last < 5:
            continue
        # Of several orders of the last moment any is the newest; all lines of that moment belong to the basket.
        orders = {order for day, _, _, order in bought if day == last}
        if len(orders) > 1 and any(order in orders and day < last for day, _, _, order in bought):
            return
        basket = [one for one in bought if one[3] in orders or one[0] == last]
        begins = min(day for day, *_ in basket)
        before = [(item, START - timedelta(days=begins - day)) for day, item, *_ in own if day < begins]
        if before:
            expected[user] = (sorted(before), sorted({item for _, item, *_ in basket}))
    assert found == expected


@pytest.mark.unit
@pytest.mark.parametrize(
    ("counts", "read", "chosen"),
    [
        ([200, 900, 900], 1, TIME_SPLIT),
        ([199, 399, 900], 2, LEAVE_LAST_BASKET),
        ([199, 398, 398], 3, TIME_SPLIT),
        ([10, 30, 61], 3, NEXT_IN_SESSION),
        ([10, 30, 60], 3, LEAVE_LAST_BASKET),
        ([0, 0, 1], 3, NEXT_IN_SESSION),
        ([0, 0, 0], 3, TIME_SPLIT),
    ],
)
def test_the_next_protocol_is_used_where_cases_are_few_and_it_has_many_more(
    counts: list[int], read: int, chosen: str
) -> None:
    seen: list[str] = []

    def cases() -> Iterator[tuple[str, int]]:
        for protocol, count in zip(PROTOCOLS, counts, strict=True):
            seen.append(protocol)
            yield protocol, count

    assert ProtocolParameters(min_cases=200, visit_minutes=30.0).chosen(cases()) == chosen
    assert len(seen) == read


@pytest.mark.unit
def test_zero_always_means_a_time_split() -> None:
    assert ProtocolParameters(min_cases=0, visit_minutes=30.0).chosen([(TIME_SPLIT, 0), ("other", 9)]) == TIME_SPLIT


@pytest.mark.unit
def test_a_negative_number_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"protocols\.min_cases"):
        load_settings(overrides=("protocols.min_cases=-1",))
