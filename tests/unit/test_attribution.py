"""What lists earn: designed orders with a known answer, and random events against a slow oracle."""

from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from freshet.experiments.attribution import attributed, list_outcomes
from tests.factories import event, events_frame, moment
from tests.oracles_attribution import attributed_rows, outcome_rows

WINDOWS = {"click_window_hours": 24.0, "view_window_hours": 1.0}


def shown(at: str, name: str | None, item: str = "i1", **other: Any) -> dict[str, Any]:
    return event("view_item_list", item=item, at=moment(f"2026-11-{at}"), recommendation_id=name, **other)


def clicked(at: str, name: str | None, item: str = "i1", **other: Any) -> dict[str, Any]:
    return event("select_item", item=item, at=moment(f"2026-11-{at}"), recommendation_id=name, **other)


def bought(at: str, item: str = "i1", **other: Any) -> dict[str, Any]:
    return event("purchase", item=item, at=moment(f"2026-11-{at}"), **{"price": 10.0, **other})


def credits_of(spark: SparkSession, *rows: dict[str, Any], **windows: float) -> dict[str, dict[str, float]]:
    """By model and list the shares, added up."""
    frame = attributed(events_frame(spark, list(rows)), **{**WINDOWS, **windows})
    found: dict[str, dict[str, float]] = {"last_touch": {}, "shared_touch": {}}
    for row in frame.collect():
        mine = found[row["model"]]
        mine[row["recommendation_id"]] = mine.get(row["recommendation_id"], 0.0) + row["share"]
    return found


def test_the_last_click_has_all_of_an_order_and_all_clicks_share_it(spark: SparkSession) -> None:
    found = credits_of(spark, clicked("01 08:00", "a"), clicked("01 09:00", "b"), clicked("01 09:30", "a"),
                       shown("01 09:50", "c"), bought("01 10:00"))  # fmt: skip
    assert found == {"last_touch": {"a": 1.0}, "shared_touch": {"a": 0.5, "b": 0.5}}


def test_views_count_where_nothing_was_clicked(spark: SparkSession) -> None:
    rows = (shown("01 09:10", "a"), shown("01 09:20", "b"), bought("01 10:00"))
    assert credits_of(spark, *rows) == {"last_touch": {"b": 1.0}, "shared_touch": {"a": 0.5, "b": 0.5}}
    without = credits_of(spark, *rows, shown("01 10:00", "c"), view_window_hours=0.0)
    assert without == {"last_touch": {}, "shared_touch": {}}


@pytest.mark.parametrize(
    ("touch", "counts"),
    [
        (clicked("01 10:00", "a"), True),  # a whole window earlier, or at the same time: both ends are included
        (clicked("02 10:00", "a"), True),
        (clicked("01 09:59:59.999999", "a"), False),
        (clicked("02 10:00:00.000001", "a"), False),
        (shown("02 09:00", "a"), True),
        (shown("02 08:59:59", "a"), False),
        (clicked("02 09:00", None), False),
        (clicked("02 09:00", "a", item="other"), False),
        (clicked("02 09:00", "a", user="other"), False),
        (clicked("02 09:00", "a", flags=["bot"]), False),
        ({**clicked("02 09:00", "a"), "event_name": "add_to_cart"}, True),
        ({**clicked("02 09:00", "a"), "event_name": "refund"}, False),
    ],
)
def test_what_counts_as_a_touch(spark: SparkSession, touch: dict[str, Any], counts: bool) -> None:
    found = credits_of(spark, touch, bought("02 10:00"))
    assert found["last_touch"] == ({"a": 1.0} if counts else {})


def test_a_purchase_that_names_its_list_needs_no_click(spark: SparkSession) -> None:
    found = credits_of(spark, clicked("01 09:00", "b"), bought("01 10:00", recommendation_id="a"))
    assert found == {"last_touch": {"a": 1.0}, "shared_touch": {"a": 0.5, "b": 0.5}}


def test_of_lists_touched_at_the_same_time_the_first_id_has_the_line(spark: SparkSession) -> None:
    found = credits_of(spark, clicked("01 09:00", "b"), clicked("01 09:00", "a"), bought("01 10:00"))
    assert found["last_touch"] == {"a": 1.0}


def test_a_session_before_the_login_is_the_customers_and_its_order_counts_once(spark: SparkSession) -> None:
    rows = [
        clicked("01 09:00", "a", user=None, anonymous_id="x"),
        bought("01 09:30", user=None, anonymous_id="x", order="o1"),
        event("view_item", user="u1", at=moment("2026-11-01 09:45"), anonymous_id="x"),
        bought("01 10:00", user="u1", order="o2"),
        bought("01 10:00", user=None, anonymous_id="y", order="o3", recommendation_id="b"),
    ]  # fmt: skip
    found = attributed(events_frame(spark, rows), **WINDOWS).where("model = 'shared_touch'").collect()
    assert sorted((row["order_id"], row["user_id"], row["recommendation_id"], row["share"]) for row in found) == [
        ("o1", "u1", "a", 1.0), ("o2", "u1", "a", 1.0), ("o3", "anon:y", "b", 1.0),
    ]  # fmt: skip


def test_outcomes_of_lists(spark: SparkSession) -> None:
    rows = [
        shown("01 09:00", "a"), shown("01 09:00", "a", item="i2"), shown("01 09:05", "a"),
        clicked("01 09:10", "a"), clicked("01 09:11", "a"), clicked("01 09:12", "b", item="i2"),
        bought("01 10:00", quantity=3.0, order="o"), bought("01 10:00", item="i2", price=5.0, order="o"),
        bought("01 10:00", item="i3", price=100.0, order="o"),
        shown("03 09:00", "c"),
    ]  # fmt: skip
    found = {(row["recommendation_id"], row["model"]): row
             for row in list_outcomes(events_frame(spark, rows), **WINDOWS).collect()}  # fmt: skip
    assert len(found) == 6
    figures = {key: (row["impressions"], row["clicks"], row["orders"], row["revenue"]) for key, row in found.items()}
    # Of the order two lines count for lists, a half of it each; the third was in none.
    assert figures["a", "last_touch"] == (2, 1, 0.5, 30.0)
    assert figures["b", "last_touch"] == (0, 1, 0.5, 5.0)
    assert figures["c", "shared_touch"] == (1, 0, 0.0, 0.0)
    assert found["a", "shared_touch"]["first_seen"] == moment("2026-11-01 09:00")


_EVENT = st.fixed_dictionaries({
    "event_name": st.sampled_from(["view_item_list", "select_item", "purchase", "purchase", "refund"]),
    "user_id": st.sampled_from(["u", "v", None]),
    "anonymous_id": st.sampled_from([None, None, "x"]),
    "item_id": st.sampled_from(["i", "i", "j", None]),
    "recommendation_id": st.sampled_from([None, "a", "b", "c"]),
    "hour": st.integers(0, 8),
    "quantity": st.sampled_from([None, 2.0]),
    "price": st.sampled_from([None, 1.5, 4.0]),
    "transaction_id": st.sampled_from([None, "o", "p"]),
    "flags": st.sampled_from([[], [], [], ["bot"], ["late"]]),
})  # fmt: skip


# Without shrinking: every try is two Spark jobs.
@settings(max_examples=12, phases=(Phase.generate,))
@given(rows=st.lists(_EVENT, max_size=40), view_window_hours=st.sampled_from([0.0, 2.0]))
def test_it_is_what_the_oracle_says(spark: SparkSession, rows: list[dict[str, Any]], view_window_hours: float) -> None:
    events = [
        {**{name: value for name, value in row.items() if name != "hour"}, "event_id": f"e{n}", "item_position": 0,
         "event_time": moment(f"2026-11-01 0{row['hour']}:00")}
        for n, row in enumerate(rows)
    ]  # fmt: skip
    windows = {"click_window_hours": 3.0, "view_window_hours": view_window_hours}
    frame = events_frame(spark, [dict(one) for one in events])
    found = [row.asDict() for row in attributed(frame, **windows).collect()]
    expected = attributed_rows(events, **windows)
    assert sorted(map(_sortable, found)) == sorted(map(_sortable, expected))
    outcomes = {(row["recommendation_id"], row["model"]): tuple(row)[2:] for row in
                list_outcomes(frame, **windows).collect()}  # fmt: skip
    wanted = outcome_rows(events, **windows)
    assert outcomes.keys() == wanted.keys()
    for key, values in wanted.items():
        assert outcomes[key][0] == values[0], key
        assert outcomes[key][1:] == pytest.approx(values[1:]), key


def _sortable(row: dict[str, Any]) -> list[tuple[str, str]]:
    return sorted((name, f"{value:.9f}" if isinstance(value, float) else str(value)) for name, value in row.items())
