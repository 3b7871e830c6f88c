"""Reasons of listed items on designed data."""

import numpy as np

from freshet.models.factors.parameters import AlsParameters
from tests.artifacts import artifact, both, bought, items_listed


def test_reasons_name_the_part_that_lifts_an_item_most() -> None:
    model = artifact(
        ["bought", "liked", "near", "popular"],
        # The shopper's one item lies in the same direction as `liked`, and against the two others.
        factors=[[1.0], [1.0], [-1.0], [-1.0]],
        neighbours=[[0, 0, 0.8, 0], [0] * 4, [0] * 4, [0] * 4],
        terms={"item_popular": [0, 0, 0, 9]},
        als=AlsParameters(1, 1, 0.1, 1.0, 1),
        own_half_lives={"own_seen": None},
        weights=both(factors=1.0, neighbours=3.0, own_seen=0.1, item_popular=1.0),
    )
    reasons = {
        entry["item_id"]: entry["reason"] for entry in items_listed(model, {"u": [bought("bought")]}, length=4)["u"]
    }
    assert reasons == {
        "bought": "bought_before",
        "liked": "taste",
        "near": "similar_to:bought",
        "popular": "popular_now",
    }


def test_an_item_that_was_never_bought_was_looked_at() -> None:
    model = artifact(
        ["basket", "both", "look", "other"],
        own_half_lives={"own_seen": None},
        weights=both(own_seen=1.0),
        event_weights={"purchase": 1.0, "view_item": 0.5},
    )
    views = [(moment, item, "view_item", f"view-{item}") for moment, item, *_ in (bought("look"), bought("both", 5))]
    listed = items_listed(model, {"u": [bought("basket"), bought("both"), *views]}, length=4)["u"]
    assert {entry["item_id"]: entry["reason"] for entry in listed} == {
        "basket": "bought_before",
        "both": "bought_before",
        "look": "viewed_before",
        "other": "popular_now",
    }


def test_similar_to_names_the_item_that_says_most_ties_by_item_id() -> None:
    near = np.zeros((5, 5))
    near[0, 3], near[1, 3], near[2, 3] = 0.2, 0.9, 0.3
    near[0, 4], near[1, 4], near[2, 4] = 0.4, 0.4, 0.4
    model = artifact(
        ["a", "b", "c", "x", "y"], neighbours=near, neighbour_half_life_days=10.0, weights=both(neighbours=1.0)
    )
    fresh, faded = [bought("a"), bought("b"), bought("c")], [bought("a"), bought("b", 40), bought("c")]
    lists = items_listed(model, {"fresh": fresh, "faded": faded, "none": []}, "new_items", length=2)
    reasons = {(user, e["item_id"]): e["reason"] for user, items in lists.items() for e in items}
    assert reasons["fresh", "x"] == "similar_to:b"
    assert reasons["faded", "x"] == "similar_to:c"
    assert reasons["fresh", "y"] == "similar_to:a"
    assert {reason for (user, _), reason in reasons.items() if user == "none"} == {"popular_now"}


def test_similar_to_names_an_item_by_the_model_that_gives_most() -> None:
    linear, following = np.zeros((3, 3)), np.zeros((3, 3))
    linear[0, 2], following[1, 2] = 1.0, 1.0
    lists = {}
    for weight in (0.5, 2.0):
        model = artifact(
            ["a", "b", "x"], linear_items=linear, next_items=following, linear_half_life_days=None,
            weights=both(linear_items=1.0, next_items=weight),
        )  # fmt: skip
        lists[weight] = items_listed(model, {"u": [bought("a", 1), bought("b", 2)]}, "new_items", length=1)["u"]
    assert [(entry["item_id"], entry["reason"]) for entry in lists[0.5]] == [("x", "similar_to:a")]
    assert [(entry["item_id"], entry["reason"]) for entry in lists[2.0]] == [("x", "similar_to:b")]
    assert [entry["score"] for entry in lists[2.0]] == [3.0]


def test_similar_to_names_what_speaks_against_an_item_where_the_model_counts_against_itself() -> None:
    linear = np.zeros((3, 3))
    linear[0, 2], linear[1, 2] = 0.25, -2.0
    model = artifact(["a", "b", "x"], linear_items=linear, weights=both(linear_items=-1.0))
    found = items_listed(model, {"u": [bought("a", 1), bought("b", 2)]}, "new_items", length=1)["u"]
    assert [(entry["item_id"], entry["reason"]) for entry in found] == [("x", "similar_to:b")]
