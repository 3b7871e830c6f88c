"""Lists of shoppers of whom nothing is known: recent popularity, whatever the search has made of it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from freshet.contracts.policies import POLICIES
from freshet.contracts.shoppers import HISTORY
from freshet.models.factors.parameters import AlsParameters
from freshet.ranking import best_items
from freshet.ranking.artifact import Artifact
from freshet.ranking.lists.shopper_lists import recommended, recommended_in_process
from tests.artifacts import (
    CLOCK,
    artifact,
    batch,
    both,
    bought,
    history_rows,
    items_listed,
    listed,
    packed,
    random_artifact,
    random_history,
)
from tests.factories import local_frame
from tests.oracles_recommendation import Entry, best_columns, scores_of
from tests.rules_data import without

ITEMS = ["a", "b", "c", "d", "e"]
LATELY, EVER = [0.0, 2.0, -1.0, 2.0, 1.0], [9.0, 0.0, 0.0, 0.0, 0.0]
BY_POPULARITY = ["b", "d", "e", "a", "c"]

NOTHING_KNOWN: dict[str, list[Entry] | None] = {
    "empty": [],
    "null": None,
    "unknown": [bought("gone")],
    "no event of weight": [(CLOCK, "a", "view_item", "o1")],
}


def shop(**weights: float) -> Artifact:
    """One of factors, an item model and popularity, whose item terms have the given weights."""
    near = np.eye(5)[::-1]
    return artifact(
        ITEMS,
        factors=np.eye(5),
        linear_items=near,
        als=AlsParameters(5, 1, 0.1, 1.0, 1),
        own_half_lives={"own_seen": None},
        terms={"item_popular_14d": LATELY[::-1], "item_popular_30d": LATELY, "item_popular_all": EVER},
        weights=both(**{"factors": 1.0, "linear_items": 0.5, "own_seen": 0.1, **weights}),
    )


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize(
    "weights", [{}, {"item_popular_30d": -0.5}, {"item_popular_14d": 1.0, "item_popular_all": 2.0}]
)  # fmt: skip
def test_who_is_not_known_gets_what_was_popular_lately_whatever_its_weight(
    weights: dict[str, float], policy: str
) -> None:
    lists = items_listed(shop(**weights), NOTHING_KNOWN, policy, length=5)
    for user, items in lists.items():
        assert [entry["item_id"] for entry in items] == BY_POPULARITY, user
        assert [entry["position"] for entry in items] == [1, 2, 3, 4, 5]
        assert [entry["score"] for entry in items] == [2.0, 2.0, 1.0, 0.0, -1.0]
        assert {entry["reason"] for entry in items} == {"popular_now"}


@pytest.mark.parametrize("policy", POLICIES)
def test_lists_of_known_shoppers_are_those_of_the_blend_also_among_unknown_ones(policy: str) -> None:
    model = shop(item_popular_30d=-0.5)
    known: dict[str, list[Entry] | None] = {"first": [bought("e")], "last": [bought("a", 9), bought("c")]}
    lists = items_listed(model, {"first": known["first"], **NOTHING_KNOWN, "last": known["last"]}, policy)
    assert {user: lists[user] for user in known} == items_listed(model, known, policy)
    for user, history in known.items():
        expected = best_columns(scores_of(history or [], model, policy, CLOCK), 3)
        assert [entry["item_id"] for entry in lists[user]] == [ITEMS[column] for column, _ in expected]


def test_an_unavailable_item_is_not_in_the_list_of_an_unknown_shopper() -> None:
    lists = items_listed(shop(), NOTHING_KNOWN, length=5, rules=without(shop(), [4, 1]))
    assert {tuple(entry["item_id"] for entry in items) for items in lists.values()} == {("d", "a", "c")}


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ({"item_popular_365d": [3, 1, 2], "item_popular_all": [1, 2, 3]}, ["a", "c", "b"]),
        ({"item_popular_all": [1, 3, 2], "item_trend": [3, 2, 1]}, ["b", "c", "a"]),
        # What it was in models that had no such term.
        ({"item_popular": [1, 2, 3]}, ["a", "b", "c"]),
        ({}, ["a", "b", "c"]),
    ],
)
def test_a_wider_window_takes_the_place_of_a_month_and_the_blend_that_of_popularity(
    terms: dict[str, list[float]], expected: list[str]
) -> None:
    model = artifact(ITEMS[:3], terms=terms, weights=both(item_popular=-1.0, item_popular_all=-1.0))
    assert [entry["item_id"] for entry in items_listed(model, {"u": []})["u"]] == expected


def test_a_history_without_known_items_gets_the_blend_of_a_model_without_recent_popularity() -> None:
    model = random_artifact(np.random.default_rng(0), items=12, rank=3)
    lists = items_listed(model, NOTHING_KNOWN, length=4)
    best = best_columns([float(v) for v in model.terms["item_popular"]], 4)
    for items in lists.values():
        assert [entry["item_id"] for entry in items] == [model.items[column].as_py() for column, _ in best]
        assert {entry["reason"] for entry in items} == {"popular_now"}


def test_only_items_that_the_model_does_not_know_are_counted_as_unknown() -> None:
    found = listed(batch(dict(NOTHING_KNOWN)), shop(), clock=CLOCK, length=1, policy="next_baskets")
    assert found.column("unknown_items").to_pylist() == [0, 0, 1, 0]


@pytest.mark.parametrize("policy", POLICIES)
def test_popularity_is_the_same_from_panels_of_the_catalogue(policy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(best_items, "_PANEL", (3, 64))
    rng = np.random.default_rng(4)
    model = replace(_random(rng, items=300), item_weights={})
    model.terms["item_popular_30d"][:] = np.arange(300)
    shoppers = {"first": random_history(rng, model.items.to_pylist(), 9), **NOTHING_KNOWN}
    assert best_items.cut(model, policy, 1) == (3, 64, True)
    lists = items_listed(model, shoppers, policy, length=1, rules=without(model, [299, 0, 298]))
    assert {items[0]["item_id"] for user, items in lists.items() if user != "first"} == {"i0297"}


def test_batch_and_stream_give_the_same_lists_to_who_is_not_known(spark: SparkSession, tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    model = _random(rng, items=30)
    model.save(tmp_path / "1")
    shoppers = {"known": random_history(rng, model.items.to_pylist(), 8), **NOTHING_KNOWN}
    rows = [{"user_id": user, "history": history_rows(history)} for user, history in shoppers.items()]
    how: dict[str, Any] = {"artifact": tmp_path / "1", "clock": CLOCK, "length": 6, "policy": "new_items"}
    frame = local_frame(spark, f"user_id string, history {HISTORY.simpleString()}", rows)
    of_batch = recommended(frame.repartition(2), **how).toArrow()
    at_hand = batch(dict(shoppers))
    users = pa.Table.from_batches([at_hand.select(["user_id"])])
    of_stream = recommended_in_process(users, packed(at_hand.column("history")), threads=2, **how)
    lists = [{row["user_id"]: row["items"] for row in made.to_pylist()} for made in (of_batch, of_stream)]
    cold = [{user: made[user] for user in NOTHING_KNOWN} for made in lists]
    assert cold[0] == cold[1]
    assert {entry["item_id"] for entry in lists[0]["known"]} != {entry["item_id"] for entry in cold[0]["empty"]}


def _random(rng: np.random.Generator, *, items: int) -> Artifact:
    """All terms at once, popularity of a month among them, at a weight below 0."""
    model = random_artifact(rng, items=items, rank=4)
    weights = {**model.recipe.weights["next_baskets"], "item_popular_30d": -0.5}
    terms = {**model.terms, "item_popular_30d": rng.standard_normal(items).astype(np.float32)}
    return replace(model, terms=terms, recipe=replace(model.recipe, weights=both(**weights)))
