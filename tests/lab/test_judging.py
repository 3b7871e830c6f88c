"""Metrics of the laboratory against slow, obvious oracles; figures, differences, and what is refused."""

import math
import random
from typing import Any

import pytest

from freshet.evaluation.parameters import GateParameters
from freshet.evaluation.ranking import RANKING_METRICS
from freshet.lab import (
    IDEAL_OF_LIST,
    IDEAL_OF_TRUTH,
    NEW_ITEMS,
    NEXT_BASKETS,
    InputError,
    Interactions,
    Lists,
    Split,
    covered,
    given_split,
    judge,
)
from tests.oracles_ranking import ranking_metrics

ITEMS = [f"i{n}" for n in range(12)]


def reciprocal_rank(listed: list[str], truth: set[str], k: int) -> float:
    """From the definition: 1 / place of the first true item of the first k."""
    for place, item in enumerate(listed[:k], start=1):
        if item in truth:
            return 1 / place
    return 0.0


def ndcg_of_list(listed: list[str], truth: set[str], k: int) -> float:
    """DCG over that of a list of k true items, whether there are as many or not."""
    gained = sum(1 / math.log2(place + 1) for place, item in enumerate(listed[:k], start=1) if item in truth)
    return gained / sum(1 / math.log2(place + 1) for place in range(1, k + 1))


def _drawn(seed: int, users: int = 40) -> tuple[Split, dict[str, list[str]], dict[str, set[str]]]:
    """A split, lists without repeats and truths, where empty lists and lists shorter than k occur."""
    chance = random.Random(seed)
    names = [f"u{n:02d}" for n in range(users)]
    truth = {user: set(chance.sample(ITEMS, chance.randint(1, 8))) for user in names}
    lists = {user: chance.sample(ITEMS, chance.randint(0, 9)) for user in names}
    pairs = [(user, item) for user in names for item in sorted(truth[user])]
    train = Interactions.of({"user_id": names, "item_id": ["known"] * users})
    held = Interactions.of({"user_id": [user for user, _ in pairs], "item_id": [item for _, item in pairs]})
    return given_split(train, held, policy=NEXT_BASKETS), lists, truth


@pytest.mark.parametrize("ideal", [IDEAL_OF_TRUTH, IDEAL_OF_LIST])
@pytest.mark.parametrize("seed", [1, 2])
def test_metrics_of_every_case_equal_the_oracles(seed: int, ideal: str) -> None:
    split, lists, truth = _drawn(seed)
    judged = judge(Lists.of(lists), split, ks=[1, 3, 7], ideal=ideal)
    rows = judged.per_user.to_pylist()
    assert len(rows) == 3 * len(truth)
    for row in rows:
        listed, true, k = lists[row["user_id"]], truth[row["user_id"]], row["k"]
        wanted = {**ranking_metrics(listed, true, k), "mrr": reciprocal_rank(listed, true, k)}
        if ideal == IDEAL_OF_LIST:
            wanted["ndcg"] = ndcg_of_list(listed, true, k)
        assert {name: row[name] for name in wanted} == pytest.approx(wanted)
    assert judged.value("mrr", k=3) == pytest.approx(
        sum(reciprocal_rank(lists[user], truth[user], 3) for user in truth) / len(truth)
    )


def test_the_two_ideals_by_hand() -> None:
    # One true item, found at place 2 of 3.
    split = given_split(
        Interactions.of({"user_id": [1], "item_id": ["a"]}), Interactions.of({"user_id": [1], "item_id": ["t"]})
    )
    lists = Lists.of({1: ["x", "t", "y"]})
    gain, third = 1 / math.log2(3), 1 / math.log2(4)
    assert judge(lists, split, ks=3).value("ndcg") == pytest.approx(gain)
    assert judge(lists, split, ks=3, ideal="list").value("ndcg") == pytest.approx(gain / (1 + gain + third))
    assert judge(lists, split, ks=3).value("mrr") == 0.5
    assert judge(lists, split, ks=1).value("mrr") == 0.0


def test_the_gate_and_tables_do_not_know_the_reciprocal_rank() -> None:
    assert "mrr" not in RANKING_METRICS
    values: dict[str, Any] = {"k": 10, "champion_tolerance": 0.0, "baseline_tolerance": 0.0, "min_users": 1}
    with pytest.raises(ValueError, match="must be"):
        GateParameters(metric="mrr", **values)


def test_figures_have_intervals_that_hold_the_mean_and_repeat() -> None:
    split, lists, _ = _drawn(3, users=200)
    judged = judge({"one": Lists.of(lists)}, split, ks=[5])
    figures = judged.figures()
    assert sorted(figures["metric"]) == sorted([*RANKING_METRICS, "mrr"])
    assert (figures["users"] == 200).all()
    assert ((figures["low"] < figures["value"]) & (figures["value"] < figures["high"])).all()
    assert judge({"one": Lists.of(lists)}, split, ks=[5]).figures().equals(figures)
    mean = judged.value("ndcg")
    half = figures.set_index("metric").loc["ndcg", "high"] - mean
    spread = judged.per_user.column("ndcg").to_pandas().std() / math.sqrt(200)
    assert half == pytest.approx(1.96 * spread, rel=0.15)


def test_differences_are_paired() -> None:
    split, lists, truth = _drawn(4, users=120)
    better = {
        user: [sorted(truth[user])[0], *(i for i in lists[user] if i != sorted(truth[user])[0])] for user in lists
    }
    judged = judge({"better": Lists.of(better), "worse": Lists.of(lists)}, split, ks=5)
    found = judged.difference("better", "worse", metric="mrr")
    means = [judged.value("mrr", model=name) for name in ("better", "worse")]
    assert found["value"] == pytest.approx(means[0] - means[1])
    assert means[0] == 1.0
    assert 0 < found["low"] < found["value"] < found["high"]
    assert judged.difference("worse", "better", metric="mrr")["value"] == pytest.approx(-found["value"])
    assert judged.difference("better", "better")["high"] == 0.0


def test_cases_without_a_list_count_with_zeros_and_what_was_had_is_not_true_under_new_items() -> None:
    train = Interactions.of({"user_id": [1, 2, 3], "item_id": ["a", "a", "a"]})
    truth = Interactions.of({"user_id": [1, 2, 3], "item_id": ["b", "b", "a"]})
    split = given_split(train, truth)
    one = {1: ["b", "a"]}
    assert judge(Lists.of(one), split, ks=2).value("hit") == pytest.approx(1 / 2)
    assert judge(Lists.of(one, policy=NEW_ITEMS), split, ks=2).value("hit") == pytest.approx(1 / 2)
    assert judge(Lists.of(one, policy=NEXT_BASKETS), split, ks=2).value("hit") == pytest.approx(1 / 3)
    assert covered(Lists.of({1: ["a"]}), split) == 1.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ks": 0}, "k of 1 or more"),
        ({"ks": []}, "k of 1 or more"),
        ({"ideal": "best"}, "no such ideal; expected truth or list; found best"),
        ({"lists": {}}, "there are no lists"),
        ({"lists": {"a": {"u": ["i"]}}}, "a is no Lists but dict; see Lists.of"),
        ({"lists": Lists.of({"nobody": ["i1"]})}, "no list of lists is of a case"),
        (
            {
                "lists": {
                    "a": Lists.of({"u00": ["i1"]}, policy=NEW_ITEMS),
                    "b": Lists.of({"u00": ["i1"]}, policy=NEXT_BASKETS),
                }
            },
            "different policies",
        ),
    ],
)
def test_what_cannot_be_judged_is_refused(change: dict[str, Any], message: str) -> None:
    split, lists, _ = _drawn(5)
    with pytest.raises(InputError, match=message):
        judge(**{"lists": Lists.of(lists), "split": split, **change})


def test_figures_that_were_not_computed_are_refused() -> None:
    split, lists, _ = _drawn(6)
    judged = judge({"a": Lists.of(lists), "b": Lists.of(lists)}, split, ks=[1, 2])
    for make, message in (
        (lambda: judged.value("auc", k=1, model="a"), "expected recall, precision, ndcg, map, hit, mrr; found auc"),
        (lambda: judged.value("mrr", k=3, model="a"), "k must be one that was judged; expected 1, 2; found 3"),
        (lambda: judged.value("mrr", k=1), "model must be one that was judged; expected a, b; found None"),
        (lambda: judged.difference("a", "c", k=1), "model must be one that was judged"),
    ):
        with pytest.raises(InputError, match=message):
            make()


@pytest.mark.parametrize("lists", [{"u": "abc"}, {"u": [None, "a"]}, {"u": [1.5]}])
def test_lists_of_other_things_are_refused(lists: Any) -> None:
    with pytest.raises(InputError, match="lists"):
        Lists.of(lists)


def test_lists_are_returned_with_the_ids_that_were_given() -> None:
    lists = Lists.of({1: [30, 20], 2: []})
    assert lists.to_dict() == {1: [30, 20], 2: []}
    assert lists.to_pandas()[["user_id", "position", "item_id"]].values.tolist() == [[1, 1, 30], [1, 2, 20]]
