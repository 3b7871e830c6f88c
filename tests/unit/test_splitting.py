"""The windows of a run, and splits of events."""

import dataclasses
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from freshet.core.errors import InputError
from freshet.evaluation.splitting import (
    WindowParameters,
    Windows,
    between,
    known_before,
    run_windows,
    truth,
)
from tests.factories import event, events_frame, moment

DAY, INSTANT = timedelta(days=1), timedelta(microseconds=1)
FIRST, NEWEST = moment("2009-12-01 07:45"), moment("2011-12-09 12:50")


def parameters(live_days: int = 30, live_share: float = 0.15, validation_share: float = 0.15) -> WindowParameters:
    return WindowParameters(
        live_days=live_days, short_live_share=live_share, short_validation_share=validation_share, horizon_days=28
    )


def test_two_years_end_just_after_the_newest_event_and_are_cut_at_midnights() -> None:
    windows = run_windows(FIRST, NEWEST, None, parameters())
    assert windows == Windows(NEWEST + INSTANT, moment("2011-11-09"), moment("2011-10-09"), shortened=False)
    assert (windows.horizon, windows.has_live_part) == (31 * DAY, True)


@pytest.mark.parametrize("as_of", ["2011-12-10", "2011-12-09 23:00"])
def test_as_of_on_the_last_day_counts_the_horizon_to_the_newest_event(as_of: str) -> None:
    windows = run_windows(FIRST, NEWEST, moment(as_of), parameters())
    assert windows.as_of == moment(as_of)
    assert windows.cut == moment(as_of[:10]) - 30 * DAY
    assert windows.horizon == (30 if as_of == "2011-12-10" else 31) * DAY


def test_without_a_live_part_the_horizon_is_the_setting() -> None:
    windows = run_windows(FIRST, NEWEST, moment("2011-06-01 06:00"), parameters(live_days=0))
    assert (windows.cut, windows.has_live_part) == (windows.as_of, False)
    assert windows.validation_cut == moment("2011-05-04 06:00")


def test_two_hours_are_divided_by_shares() -> None:
    first = moment("2017-11-25 10:00")
    windows = run_windows(first, first + timedelta(hours=2) - INSTANT, None, parameters(30, 0.25, 0.25))
    assert windows == Windows(
        moment("2017-11-25 12:00"), moment("2017-11-25 11:30"), moment("2017-11-25 11:00"), shortened=True
    )


def test_without_a_live_part_short_data_are_validated_on_their_own_last_share() -> None:
    first = moment("2017-11-25 10:00")
    newest = first + timedelta(hours=2) - INSTANT
    windows = run_windows(first, newest, moment("2017-11-26"), parameters(0, 0.25, 0.25))
    assert (windows.cut, windows.validation_cut) == (moment("2017-11-26"), moment("2017-11-25 11:30"))


@pytest.mark.parametrize("as_of", [FIRST, FIRST - DAY, moment("2011-12-10") + INSTANT])
def test_as_of_outside_the_data_is_refused(as_of: datetime) -> None:
    with pytest.raises(InputError, match="as_of is outside the data; expected a moment after 2009-12-01 07:45:00"):
        run_windows(FIRST, NEWEST, as_of, parameters())


@given(
    first=st.datetimes(moment("2000-01-01"), moment("2020-01-01")),
    span=st.timedeltas(timedelta(0), 800 * DAY) | st.timedeltas(timedelta(0), timedelta(seconds=5)),
    place=st.none() | st.floats(0, 1),
    live_days=st.integers(0, 60),
)
def test_windows_follow_each_other_and_leave_time_to_learn(
    first: datetime, span: timedelta, place: float | None, live_days: int
) -> None:
    newest = first + span
    last_midnight = newest.replace(hour=0, minute=0, second=0, microsecond=0) + DAY
    as_of = None if place is None else max(first + INSTANT, first + (last_midnight - first) * place)
    windows = run_windows(first, newest, as_of, parameters(live_days))
    end = min(windows.as_of, newest + INSTANT)
    assert first <= windows.validation_cut <= windows.cut <= windows.as_of
    assert windows.has_live_part == (live_days > 0) or end - first < timedelta(seconds=10)
    if not windows.shortened:
        assert windows.horizon % DAY == timedelta(0)
        assert windows.validation_cut - first >= windows.horizon >= DAY
        if live_days:
            assert windows.cut.time() == datetime.min.time()
            assert windows.cut + windows.horizon >= end > windows.cut + windows.horizon - DAY
    elif end - first >= timedelta(minutes=1):
        assert windows.validation_cut < min(windows.cut, end)
        assert windows.validation_cut - first >= (end - first) * 0.69


@pytest.mark.parametrize("days", [(-1, 28), (36_501, 28), (30, 0), (30, 36_501)])
def test_windows_that_no_calendar_holds_are_refused(days: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"(live|horizon)_days must be (0 or more|1 or more|at most 36500), is"):
        dataclasses.replace(parameters(), live_days=days[0], horizon_days=days[1])


@pytest.mark.parametrize("days", [(36_500, 28), (0, 36_500)])
def test_the_longest_windows_are_shortened_to_the_data(days: tuple[int, int]) -> None:
    longest = dataclasses.replace(parameters(), live_days=days[0], horizon_days=days[1])
    assert run_windows(FIRST, NEWEST, None, longest).shortened


@pytest.mark.parametrize("wrong", [(-1, 0.1, 0.1), (1, 0.5, 0.5), (1, 0.0, 0.2), (1, -0.1, 0.2), (1, 0.2, 0.0)])
def test_impossible_parameters_are_refused(wrong: tuple[int, float, float]) -> None:
    with pytest.raises(ValueError, match=r"must (be|leave)"):
        parameters(*wrong)


def test_known_before_asks_for_both_times_and_between_for_the_event_alone(spark: SparkSession) -> None:
    rows = events_frame(
        spark,
        [
            event(item="both before", at="2020-01-01"),
            event(item="received at", at="2020-01-01", received="2020-01-02"),
            event(item="at", at="2020-01-02"),
            event(item="end", at="2020-01-03"),
        ],
    )
    assert [row.item_id for row in known_before(rows, moment("2020-01-02")).collect()] == ["both before"]
    inside = between(rows, moment("2020-01-01"), moment("2020-01-03")).collect()
    assert [row.item_id for row in inside] == ["both before", "received at", "at"]


def test_truth_is_the_distinct_products_of_known_shoppers(spark: SparkSession) -> None:
    rows = [
        event(item="b"),
        event(item="a"),
        event(item="b"),
        event(item="c", flags=["non_product"]),
        event(item=None),
        event("view_item", item="d"),
        event(user=None, anonymous_id="x", item="a", flags=["outlier_price"]),
        event(user=None, item="a"),
        event("view_item", user="only views"),
    ]
    found = {row.user_id: row["items"] for row in truth(events_frame(spark, rows), target="purchase").collect()}
    assert found == {"u1": ["a", "b"], "anon:x": ["a"]}
    assert truth(events_frame(spark, []), target="purchase").collect() == []
