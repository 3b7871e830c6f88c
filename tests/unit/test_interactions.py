"""Interactions and histories against plain Python, and on data whose answer is known."""

from datetime import datetime
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from freshet.contracts import INTERACTIONS
from freshet.features.interactions import (
    InteractionParameters,
    histories,
    interaction_signals,
    interactions,
    item_sequences,
)
from tests import oracles_features as oracle
from tests.factories import event, events_frame, moment
from tests.oracles_hash import entry_key

AS_OF = datetime(2020, 12, 1)
WEIGHTS = {"purchase": 1.0, "refund": -0.75, "view_item": 0.25, "add_to_cart": 0.5}


def parameters(max_events: int = 1000) -> InteractionParameters:
    return InteractionParameters(weights=WEIGHTS, half_life_days=30.0, max_events=max_events)


def pairs(frame: DataFrame) -> dict[tuple[str, str], dict[str, Any]]:
    """Rows by (user, item), without the keys."""
    rows = [row.asDict() for row in frame.collect()]
    assert all(row.pop("as_of") for row in rows)
    found = {(row.pop("user_id"), row.pop("item_id")): row for row in rows}
    assert len(found) == len(rows)
    return found


def strengths(spark: SparkSession, rows: list[dict[str, Any]], **options: Any) -> dict[tuple[str, str], float]:
    made = interactions(
        events_frame(spark, rows), **{"as_of": AS_OF, "half_life_days": None, "params": parameters(), **options}
    )
    return {key: row["strength"] for key, row in pairs(made).items()}


@pytest.mark.parametrize(("seed", "half_life", "max_events"), [(1, 45.0, 1000), (2, None, 25)])
def test_interactions_equal_the_plain_count(
    spark: SparkSession, seed: int, half_life: float | None, max_events: int
) -> None:
    names = ["purchase", "purchase", "refund", "view_item", "select_item", "add_to_cart", "begin_checkout", "search",
             "view_item_list"]  # fmt: skip
    rows = oracle.random_events(seed, count=500, names=names)
    made = interactions(events_frame(spark, rows), as_of=AS_OF, half_life_days=half_life, params=parameters(max_events))
    assert INTERACTIONS.schema_problems(made.schema) == []
    oracle.assert_same(pairs(made), oracle.interactions(rows, AS_OF, half_life, WEIGHTS, max_events))


def test_sequences_hold_what_speaks_for_an_item_at_its_last_time(spark: SparkSession) -> None:
    rows = [
        event("view_item", item="a", at="2020-10-01", order=None),
        event("view_item", item="a", at="2020-10-03", order=None),
        # Lines of one order are one step of it, at its last line.
        event(item="b", at="2020-10-04", order="o1"),
        event(item="b", at="2020-10-05", order="o1"),
        event("refund", item="b", at="2020-10-06", order="o1"),
        event("search", item="a", at="2020-10-07", order=None),  # weighs nothing
        event(item="c", at="2020-12-24", order="o2"),  # behind the date
    ]
    made = item_sequences(interaction_signals(events_frame(spark, rows), as_of=AS_OF, params=parameters()))
    found = [(row["item_id"], row["position"]) for row in made.orderBy("position").collect()]
    assert found == [("a", moment("2020-10-01")), ("a", moment("2020-10-03")), ("b", moment("2020-10-05"))]


def test_strength_by_hand(spark: SparkSession) -> None:
    rows = [
        # Bought 30 days and bought 60 days ago: a half and a quarter.
        event(item="twice", at="2020-11-01", order="o1"),
        event(item="twice", at="2020-10-02", order="o2"),
        # Three lines of one order are one order, as old as the newest line.
        event(item="lines", at="2020-11-01", order="o3"),
        event(item="lines", at="2020-11-01", order="o3"),
        event(item="lines", at="2020-10-02", order="o3"),
        # A refund takes away what it weighs: 0.5 - 0.75 * 0.5.
        event(item="returned", at="2020-11-01", order="o4"),
        event("refund", item="returned", at="2020-11-01", order="c4"),
        # Nothing goes below 0, and the pair stays.
        event("refund", item="unknown sale", at="2020-11-01", order="c5"),
        # What has no weight says nothing, and makes no pair.
        event("search", item="searched", at="2020-11-01"),
        event("view_item_list", item="shown", at="2020-11-01"),
    ]
    assert strengths(spark, rows, half_life_days=30.0) == pytest.approx(
        {
            ("u1", "twice"): 0.75,
            ("u1", "lines"): 0.5,
            ("u1", "returned"): 0.125,
            ("u1", "unknown sale"): 0.0,
        }
    )


def test_what_is_not_known_or_no_product_or_nobody_is_left_out(spark: SparkSession) -> None:
    rows = [
        event(item="kept", at="2020-11-30 23:59:59"),
        event(item="at the date", at="2020-12-01"),
        event(item="received later", at="2020-11-01", received="2020-12-01"),
        event(item="postage", at="2020-11-01", flags=["outlier_price", "non_product"]),
        event(item=None, at="2020-11-01"),
        event(item="nobody", user=None, at="2020-11-01"),
        event(item="somebody", user=None, anonymous_id="x", at="2020-11-01"),
    ]
    assert strengths(spark, rows) == {("u1", "kept"): 1.0, ("anon:x", "somebody"): 1.0}


def test_no_events_give_no_rows(spark: SparkSession) -> None:
    assert strengths(spark, []) == {}


def test_histories_are_newest_first_by_time_then_key_and_end_at_the_cap(spark: SparkSession) -> None:
    rows = [
        event(item="old", at="2020-01-01", event_id="e9"),
        event(item="tie a", at="2020-02-01", event_id="e1", item_position=0, order="o1"),
        event("view_item", item="tie b", at="2020-02-01", event_id="e2", item_position=0),
        event(item="tie c", at="2020-02-01", event_id="e1", item_position=1),
        event(item="newest", at="2020-03-01", event_id="e0"),
        event(item="alone", user="u2", at="2019-01-01", event_id="e3"),
        event(item="postage", at="2020-04-01", flags=["non_product"]),
        event(item="by a bot", at="2020-04-01", flags=["bot"]),
        *[event("view_item_list", item=f"shown {n}", at="2020-04-02", event_id=f"s{n}") for n in range(10)],
        event(item=None, user="u3"),
    ]
    made = {
        row.user_id: [(entry.item_id, entry.event_name, entry.order_id) for entry in row.history]
        for row in histories(events_frame(spark, rows), max_events=4, event_names=parameters().event_names).collect()
    }
    tied = {
        entry_key("e1", 0): ("tie a", "purchase", "o1"),
        entry_key("e2", 0): ("tie b", "view_item", "e2"),
        entry_key("e1", 1): ("tie c", "purchase", "e1"),
    }
    assert made == {
        "u1": [
            ("newest", "purchase", "e0"),
            *[tied[key] for key in sorted(tied, reverse=True)],
        ],
        "u2": [("alone", "purchase", "e3")],
    }


def test_the_cap_of_interactions_keeps_what_histories_keep(spark: SparkSession) -> None:
    rows = oracle.random_events(3, count=300, names=["purchase", "view_item", "view_item_list", "search"])
    frame = events_frame(spark, rows).where(f"greatest(event_time, received_time) < timestamp'{AS_OF}'")
    # Sessions that log in are part of a history, but not of the table: no logins here.
    frame = frame.withColumn("anonymous_id", F.when(F.col("user_id").isNull(), F.col("anonymous_id")))
    history_items = histories(frame, max_events=7, event_names=parameters().event_names).selectExpr(
        "user_id", "explode(history.item_id) AS item_id"
    )
    found = pairs(interactions(frame, as_of=AS_OF, half_life_days=None, params=parameters(7)))
    assert set(found) == {(row.user_id, row.item_id) for row in history_items.collect()}
    assert {user for user, _ in found} == {"a", "b", "c", "d", "e", "anon:x", "anon:y"}


@pytest.mark.parametrize(
    ("weights", "half_life", "max_events", "text"),
    [
        ({"buy": 1.0}, 1.0, 1, "unknown events buy"),
        ({"purchase": float("nan")}, 1.0, 1, "finite"),
        ({"purchase": -1.0, "view_item": 1.0}, 1.0, 1, "purchase has the wrong sign"),
        ({"purchase": 1.0, "refund": 0.5}, 1.0, 1, "refund has the wrong sign"),
        ({"purchase": 0.0}, 1.0, 1, "positive weight"),
        ({"purchase": 1.0}, 0.0, 1, "half_life_days"),
        ({"purchase": 1.0}, 1.0, 0, "max_events"),
    ],
)
def test_impossible_parameters_are_refused(
    weights: dict[str, float], half_life: float, max_events: int, text: str
) -> None:
    with pytest.raises(ValueError, match=text):
        InteractionParameters(weights=weights, half_life_days=half_life, max_events=max_events)


def test_an_impossible_half_life_is_refused(spark: SparkSession) -> None:
    with pytest.raises(ValueError, match="half_life_days must be above 0"):
        interactions(events_frame(spark, []), as_of=moment("2020-01-01"), half_life_days=0.0, params=parameters())
