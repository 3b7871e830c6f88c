"""Blends: lists for everybody one can ask for, weights, their search, explanations, baselines; without Spark."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from freshet.core.errors import FreshetError
from freshet.lab import (
    BASELINES,
    ITEM_MODELS,
    NEW_ITEMS,
    NEXT_BASKETS,
    AlsParameters,
    Blend,
    FitLimits,
    InputError,
    Interactions,
    Nearness,
    Split,
    baseline,
    fit,
    hold_out,
    judge,
    last_basket,
    leave_one_out,
    session_next_item,
)
from tests.lab.shops import baskets, pairs
from tests.oracles_ranking import baseline_list, baseline_scores
from tests.unit.test_baselines import random_strengths

ALS = AlsParameters(rank=4, max_iter=3, reg_param=0.1, alpha=5.0, seed=3)


@pytest.fixture(scope="module")
def data() -> Interactions:
    return Interactions.of(baskets())


@pytest.fixture(scope="module")
def split(data: Interactions) -> Split:
    return last_basket(data)


@pytest.fixture(scope="module")
def blend(split: Split) -> Blend:
    return fit(split, list(ITEM_MODELS.names), factors=ALS)


@pytest.mark.parametrize("name", [*ITEM_MODELS.names, "factors"])
def test_every_model_alone_finds_the_half_of_its_user(split: Split, name: str) -> None:
    alone = fit(split, factors=ALS) if name == "factors" else fit(split, [name])
    found = alone.lists(split, k=4).to_dict()
    assert set(found) == {user + 100 for user in range(40)}
    right = [int(item[1:]) % 2 == user % 2 for user, items in found.items() for item in items]
    assert len(right) == 4 * 40
    assert np.mean(right) > 0.95


def test_lists_are_asked_for_by_split_by_user_and_by_history(split: Split, blend: Blend) -> None:
    lists = blend.lists(split, k=3)
    assert lists.policy == NEXT_BASKETS
    assert list(blend.lists([103, 101], k=3).to_dict()) == [103, 101]
    strangers = Interactions.of({"user_id": ["x", "y"], "item_id": ["i01", "i02"], "time": [blend.clock] * 2})
    found = blend.lists(strangers, k=3).to_dict()
    assert all(int(item[1:]) % 2 == 1 for item in found["x"])
    assert all(int(item[1:]) % 2 == 0 for item in found["y"])


def test_new_items_are_new_and_an_unknown_user_gets_popular_items(split: Split, blend: Blend) -> None:
    had = {}
    for row in split.cases.table.to_pylist():
        had[int(row["user_id"])] = {entry["item_id"] for entry in row["history"]}
    for user, items in blend.lists(split, k=5, policy=NEW_ITEMS).to_dict().items():
        assert not had[user] & set(items)
    table = blend.lists(["nobody"], k=5).table.to_pylist()
    assert {entry["reason"] for entry in table[0]["items"]} == {"popular_now"}


def test_contributions_add_up_to_the_score(split: Split, blend: Blend) -> None:
    weighted = blend.with_weights(
        {"factors": 0.7, "linear_items": 1.3, "own_seen": -0.2, "item_popular_all": 0.4, "user_neighbours": 0.5}
    )
    scores = {
        row["item_id"]: row["score"]
        for row in weighted.lists(split, k=6).to_arrow().to_pylist()
        if row["user_id"] == 105
    }
    rows = weighted.explained(split, 105, k=6).to_pylist()
    assert [row["term"] for row in rows[:5]] == [
        "factors",
        "linear_items",
        "user_neighbours",
        "own_seen",
        "item_popular_all",
    ]
    sums: dict[str, float] = {}
    for row in rows:
        assert row["contribution"] == pytest.approx(row["value"] * row["weight"])
        sums[row["item_id"]] = sums.get(row["item_id"], 0.0) + row["contribution"]
    assert sums == pytest.approx(scores, abs=1e-5)
    cold = weighted.explained(["nobody"], "nobody", k=2).to_pylist()
    assert {(row["term"], row["weight"]) for row in cold} == {("item_popular_30d", 1.0)}


def test_the_search_gains_on_validation(data: Interactions) -> None:
    whole = last_basket(data)
    validation = last_basket(whole.train)
    start = fit(validation, ["linear_items", "next_items"], factors=ALS)
    found = start.searched(validation, k=4)
    assert found.trials[-1].weights == found.weights(NEXT_BASKETS)
    assert found.weights(NEW_ITEMS) == start.weights(NEW_ITEMS)
    before, after = (judge(one.lists(validation, k=4), validation, ks=4).value("ndcg") for one in (start, found))
    assert after >= before
    assert after == pytest.approx(found.trials[-1].ndcg, abs=1e-6)
    with pytest.raises(InputError, match=r"may have learned from.*Call fit\(validation"):
        start.searched(whole)
    again = fit(whole, ["linear_items", "next_items"], factors=ALS).with_weights(found.weights(), policy=NEXT_BASKETS)
    assert judge(again.lists(whole, k=4), whole, ks=4).value("hit") > 0


def test_strengths_count_and_the_item_itself_is_known_as_taken() -> None:
    # Who has a strongly is for c, who has b strongly for d.
    rows = [
        (f"u{n}", item, value)
        for n in range(20)
        for item, value in ((("a", 5), ("b", 1), ("c", 5)) if n % 2 else (("a", 1), ("b", 5), ("d", 5)))
    ]
    users, items, values = (list(each) for each in zip(*rows, strict=True))
    data = Interactions.of({"user_id": users, "item_id": items, "strength": values})
    model = fit(data, {"neighbours": {"asymmetry": 1.0, "shrinkage": 0.0}})
    people = Interactions.of({"user_id": ["x", "x", "y", "y"], "item_id": ["a", "b"] * 2, "strength": [5, 1, 1, 5]})
    assert model.lists(people, k=1, policy=NEW_ITEMS).to_dict() == {"x": ["c"], "y": ["d"]}


def test_events_have_weights_and_a_target() -> None:
    rows = {
        "user_id": [1, 1, 2, 2, 3],
        "item_id": ["a", "b", "a", "b", "a"],
        "event": ["buy", "look", "look", "buy", "buy"],
        "time": [1, 2, 3, 4, 5],
    }
    data = Interactions.of(rows)
    with pytest.raises(InputError, match=r"2 problems.*event buy has no weight.*event look has no weight"):
        fit(data, ["neighbours"])
    made = fit(data, ["neighbours"], event_weights={"buy": 1.0, "look": 0.1})
    assert made.artifact.recipe.target == "buy"
    # 1 has bought a, and only looked at b.
    assert made.lists([1], k=2, policy=NEW_ITEMS).to_dict() == {1: ["b"]}
    for wrong, message in (
        ({"target": "sell"}, "target sell does not occur"),
        ({"event_weights": {"buy": 0.0, "look": -1.0}}, "no event.*above 0"),
    ):
        with pytest.raises(InputError, match=message):
            fit(data, **{"event_weights": {"buy": 1.0, "look": 0.1}, **wrong})
    with pytest.raises(InputError, match="for data with a column event"):
        fit(Interactions.of({"user_id": [1], "item_id": [1]}), target="buy")


@pytest.mark.parametrize("policy", [NEXT_BASKETS, NEW_ITEMS])
@pytest.mark.parametrize("name", [name for name in BASELINES if not name.startswith("user")])
def test_baselines_equal_the_oracle(name: str, policy: str) -> None:
    strengths = {user: dict.fromkeys(own, 1.0) for user, own in random_strengths(11).items() if own}
    # A row more for everybody, so that there is something to hold out.
    frame = pairs({user: {**own, "zz": 1.0} for user, own in strengths.items()})
    split = hold_out(Interactions.of(frame), (frame["item_id"] == "zz").to_numpy(), policy=policy)
    lists = baseline(name, split, k=6, neighbours=Nearness(3, 1.5, 1.3 if name.startswith("item") else 1.0)).to_dict()
    users = sorted(strengths)
    popularity = baseline_scores(strengths, users[0], "popularity", count=3)
    assert set(lists) == set(users)
    for user, items in lists.items():
        scores = baseline_scores(strengths, user, name, count=3, shrinkage=1.5, asymmetry=1.3)
        own = set(strengths[user]) if policy == NEW_ITEMS else set()
        assert items == baseline_list(scores, popularity, k=6, without=own)


def test_a_baseline_lists_for_prefixes_of_sessions() -> None:
    frame = baskets()
    data = Interactions.of(frame.assign(session=frame["user_id"]))
    split = session_next_item(data, share=0.3)
    lists = baseline("item_knn_cosine", split, k=3).to_dict()
    assert list(lists) == split.cases.table.column("user_id").to_pylist()
    right = [int(item[1:]) % 2 == (int(case.split("/")[0]) - 100) % 2 for case, own in lists.items() for item in own]
    assert np.mean(right) > 0.95


WRONG: dict[str, tuple[Any, str]] = {
    "an unknown model": (lambda split: fit(split, ["deep_net"]), "there is no item model of this name"),
    "a name alone": (lambda split: fit(split, "neighbours"), "given by a list of names"),
    "an unknown value": (lambda split: fit(split, {"linear_items": {"reg": 1.0}}), "reg is not a setting"),
    "an invalid value": (lambda split: fit(split, {"linear_items": {"reg_param": -1.0}}), "reg_param must be above 0"),
    "invalid factors": (lambda split: fit(split, factors={"rank": 0}), "rank must be 1 or more"),
    "a half-life": (
        lambda split: fit(split, factors={"user_half_life_days": -1}),
        "user_half_life_days must be above 0",
    ),
    "memory": (lambda split: fit(split, {"linear_items": None}, limits=FitLimits(100, 1e-9, 1)), "needs more memory"),
    "a baseline": (lambda split: baseline("magic", split), "no such baseline; expected popularity"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_fits_are_refused_in_words(split: Split, case: str) -> None:
    make, message = WRONG[case]
    with pytest.raises(FreshetError, match=message):
        make(split)


def test_wrong_requests_are_refused_in_words(split: Split, blend: Blend) -> None:
    for make, message in (
        (
            lambda: blend.with_weights({"neighbours": 1, "magic": 1, "factors": float("nan")}),
            "2 problems.*magic is no term.*weight of factors is nan",
        ),
        (lambda: blend.lists(split, k=0), "k of 1 or more; found 0"),
        (lambda: blend.lists("u"), "these are no cases"),
        (lambda: blend.lists([]), "there are no users"),
        (lambda: blend.lists([1.5]), "user_id must hold texts or integers"),
        (lambda: blend.lists(Interactions.of({"user_id": [1], "item_id": [1]})), "have different types"),
        (lambda: blend.lists(split, policy="all"), "no such policy"),
        (lambda: blend.explained(split, "nobody"), "no such case; found nobody"),
        (lambda: blend.explained(split, 101, ["gone"]), "gone is no item of the training part"),
    ):
        with pytest.raises(InputError, match=message):
            make()


def test_nothing_starts_spark() -> None:
    code = """
from pyspark import SparkContext
from freshet.lab import *
from tests.lab.shops import baskets
split = leave_one_out(Interactions.of(baskets()))
names = [model.name for model in ITEM_MODELS if hasattr(model, "fit_in_process")]
assert len(names) >= 4
blend = fit(split, names, factors={"rank": 2}).searched(split)
judge({"blend": blend.lists(split), "knn": baseline("user_knn_cosine", split)}, split).figures()
assert SparkContext._gateway is None
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_leave_one_out_lists_are_of_new_items(data: Interactions) -> None:
    split = leave_one_out(data)
    assert fit(split, ["next_items"]).lists(split).policy == NEW_ITEMS
