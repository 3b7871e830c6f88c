"""The learned ranker: sums of trees, features of candidates, and the lists it orders."""

import json
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from freshet.contracts.policies import POLICIES
from freshet.contracts.shoppers import HISTORY
from freshet.pipeline.recommender.list_judging import collected, validation_lists
from freshet.ranking import best_items
from freshet.ranking.artifact import Artifact
from freshet.ranking.candidate_features import candidate_features, feature_names
from freshet.ranking.histories.history_block import HistoryBlock, read_block
from freshet.ranking.ranker.history_features import HISTORY_FEATURES, history_features
from freshet.ranking.ranker.ranker import Ranker, fold_of
from freshet.ranking.ranker.trees import Tree, Trees
from freshet.ranking.recipe import Recipe
from freshet.ranking.scoring import scored, sparse_terms
from tests.artifacts import (
    CLOCK,
    artifact,
    both,
    bought,
    histories,
    history_rows,
    items_listed,
    random_artifact,
    random_history,
)
from tests.factories import local_frame
from tests.oracles_recommendation import Entry, best_columns, last_times, scores_of
from tests.rules_data import without

LEAF = Tree((), (), (), (), (0.25,))
STUMP = Tree((1,), (0.5,), (-1,), (-2,), (10.0, 20.0))


@st.composite
def trees(draw: st.DrawFn, features: int = 3) -> Tree:
    """A binary tree of some depth, its nodes in the order in which they are split."""
    splits = draw(st.lists(st.integers(0, 10**6), max_size=6))
    number = st.floats(-4, 4, width=32)
    feature: list[int] = []
    threshold: list[float] = []
    left: list[int] = []
    right: list[int] = []
    leaves = [(None, 0)]  # the parent and its side, by leaf
    for pick in splits:
        leaf, node = pick % len(leaves), len(feature)
        parent, side = leaves[leaf]
        if parent is not None:
            (left, right)[side][parent] = node
        feature.append(draw(st.integers(0, features - 1)))
        threshold.append(draw(number))
        left.append(-leaf - 1)
        right.append(-len(leaves) - 1)
        leaves[leaf] = (node, 0)
        leaves.append((node, 1))
    return Tree(tuple(feature), tuple(threshold), tuple(left), tuple(right), tuple(draw(number) for _ in leaves))


def walked(tree: Tree, row: list[float]) -> float:
    node = 0 if tree.feature else -1
    while node >= 0:
        node = tree.left[node] if row[tree.feature[node]] <= tree.threshold[node] else tree.right[node]
    return tree.value[-node - 1]


@given(st.lists(trees(), max_size=5), st.lists(st.tuples(*[st.floats(-4, 4, width=32)] * 3), max_size=6))
def test_sums_equal_a_walk_through_each_tree(several: list[Tree], rows: list[tuple[float, ...]]) -> None:
    found = Trees(tuple(several)).sums(np.array(rows, np.float32).reshape(len(rows), 3))
    np.testing.assert_allclose(found, [sum(walked(tree, list(row)) for tree in several) for row in rows], atol=1e-5)


def test_a_value_at_the_threshold_goes_left() -> None:
    assert Trees((STUMP, LEAF)).sums(np.array([[0, 0.5], [0, 0.500001]], np.float32)).tolist() == [10.25, 20.25]


@pytest.mark.parametrize(
    "changes",
    [{"value": (1.0,)}, {"left": (-3,)}, {"left": (1,)}, {"left": (-2,)}, {"threshold": (0.5, 0.6)}],
    ids=["a leaf is missing", "no such leaf", "no such node", "a leaf twice", "a threshold too many"],
)
def test_a_tree_that_is_not_binary_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="a tree"):
        replace(STUMP, **changes)


def test_a_ranker_without_trees_or_with_unnamed_features_is_refused() -> None:
    with pytest.raises(ValueError, match="needs candidates and trees"):
        Ranker(10, ("score",), ())
    with pytest.raises(ValueError, match="not named"):
        Ranker(10, ("score",), (STUMP,))


def with_ranker(model: Artifact, names: list[str], *of_policy: Tree, candidates: int = 10) -> Artifact:
    """The artifact with the same ranker for both policies."""
    ranker = Ranker(candidates, tuple(names), tuple(of_policy))
    return replace(model, recipe=replace(model.recipe, rankers=dict.fromkeys(POLICIES, ranker)))


def test_a_recipe_with_a_ranker_is_the_same_after_json_and_keeps_the_terms_that_trees_read() -> None:
    model = random_artifact(np.random.default_rng(1), items=5, rank=2, weights=both(factors=1.0))
    made = with_ranker(model, ["own_seen", "next_items"], STUMP).recipe
    assert Recipe.from_json(made.to_json()) == made
    kept = made.without_unused()
    assert set(kept.sparse_terms) == {"own_seen"}
    assert set(kept.item_models) == {"neighbours", "next_items"}  # the first for similar items


def test_a_recipe_from_before_rankers_has_none() -> None:
    values = artifact(["a"]).recipe.to_values()
    del values["rankers"]
    assert Recipe.from_values(json.loads(json.dumps(values))).rankers == {}


def block_of(model: Artifact, shoppers: list[list[Entry]]) -> HistoryBlock:
    names = model.recipe.event_names
    return read_block(histories(*shoppers), items=model.items, event_names=names, clock=CLOCK)


def expected_history(history: list[Entry], item: str, recipe: Recipe, known: list[str]) -> dict[str, float]:
    """The history features of an item by loops over the entries."""
    last = {key: time for key, time in last_times(history).items() if key[0] in known}
    age = {key: (CLOCK - time).total_seconds() / 86_400 for key, time in last.items()}
    moments = sorted({time for (_, event, _), time in last.items() if recipe.event_weights[event] > 0}, reverse=True)
    mine = sorted(age[key] for key in last if key[0] == item)
    targets = {each: sum(key[0] == each and key[1] == recipe.target for key in last) for each in known}
    steps = [moments.index(time) for key, time in last.items() if key[0] == item and recipe.event_weights[key[1]] > 0]
    gap = (mine[-1] - mine[0]) / (len(mine) - 1) if len(mine) > 1 else None
    return {
        "own_age_days": mine[0] if mine else -1.0,
        "own_gap_days": -1.0 if gap is None else gap,
        "own_due": -1.0 if gap is None else mine[0] / max(gap, 1e-3),
        "own_events": len(mine) if mine else -1.0,
        "own_targets": targets[item] if mine else -1.0,
        "own_steps_ago": min(steps, default=-1.0),
        "shopper_events": len(last),
        "shopper_items": len({key[0] for key in last}),
        "shopper_repeats": sum(count > 1 for count in targets.values()),
        "shopper_idle_days": min(age.values(), default=-1.0),
        "shopper_days": max(age.values(), default=-1.0),
    }


def test_history_features_equal_loops_over_the_entries() -> None:
    rng = np.random.default_rng(5)
    model = artifact([f"i{n}" for n in range(6)])
    known = model.items.to_pylist()
    shoppers = [random_history(rng, [*known, "gone"], int(length)) for length in [0, 1, *rng.integers(0, 40, 30)]]
    columns = rng.integers(0, 6, (len(shoppers), 4))
    found = history_features(
        block_of(model, shoppers), columns, HISTORY_FEATURES,
        target_code=model.recipe.target_code, event_weights=model.recipe.weights_by_code,
    )  # fmt: skip

    assert set(found) == set(HISTORY_FEATURES)
    for row, history in enumerate(shoppers):
        for place, column in enumerate(columns[row]):
            wanted = expected_history(history, known[column], model.recipe, known)
            assert {name: values[row, place] for name, values in found.items()} == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("for_search", [False, True])
@pytest.mark.parametrize("policy", POLICIES)
def test_term_features_are_the_values_that_a_search_weighs(policy: str, for_search: bool) -> None:
    # Some terms have a weight, so that the score has computed them already, some have none.
    rng = np.random.default_rng(6)
    weights = both(factors=0.5, neighbours=0.7, own_frequency_30d=1.3)
    model = random_artifact(rng, items=40, rank=3, weights=weights)
    shoppers = [random_history(rng, model.items.to_pylist(), 10) for _ in range(5)]
    block = block_of(model, shoppers)
    buffer = np.empty(5 * 40, np.float32)
    result = scored(block, model, policy=policy, buffer=buffer, for_search=for_search)
    columns = rng.integers(0, 40, (5, 12))
    scores = rng.random((5, 12)).astype(np.float32)
    names = feature_names(model)
    assert names[0] == "score"
    assert set(names) == {"score", *weights[policy], "linear_items", "next_items", "own_seen", "item_popular",
                          *HISTORY_FEATURES}  # fmt: skip
    found = candidate_features(names, result, model, columns, scores)
    assert (found[:, :, 0] == scores).all()
    for name, values in sparse_terms(block, model, "next_baskets").items():
        wanted = np.take_along_axis(values.toarray(), columns, axis=1)
        np.testing.assert_allclose(found[:, :, names.index(name)], wanted, atol=1e-5)
    np.testing.assert_allclose(found[:, :, names.index("item_popular")], model.terms["item_popular"][columns])
    bare = replace(model, recipe=replace(model.recipe, weights=both(factors=1.0)), item_weights={})
    only = scored(block, bare, policy="next_baskets", buffer=buffer).rows
    wanted = np.take_along_axis(only, columns, axis=1)
    np.testing.assert_allclose(found[:, :, names.index("factors")], wanted, atol=1e-5)


def test_features_of_terms_that_the_artifact_lacks_are_zero() -> None:
    model = artifact(["a", "b"], weights=both())
    block = block_of(model, [[bought("a")]])
    result = scored(block, model, policy="next_baskets", buffer=np.empty(2, np.float32))
    columns, scores = np.array([[0, 1]]), np.zeros((1, 2), np.float32)
    assert not candidate_features(["linear_items", "item_trend"], result, model, columns, scores).any()


@pytest.mark.parametrize("in_panels", [False, True])
@pytest.mark.parametrize("policy", POLICIES)
def test_lists_are_the_candidates_in_the_order_of_blend_plus_trees(
    policy: str, in_panels: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(7)
    model = random_artifact(rng, items=150, rank=3)
    if in_panels:
        monkeypatch.setattr(best_items, "_PANEL", (3, 8))
        monkeypatch.setattr(best_items, "DEPTH", 1)
        model = replace(model, item_weights={})
    # Prefers items above a popularity, and those that the shopper has not had.
    popular = Tree((0,), (0.2,), (-1,), (-2,), (0.0, 0.75))
    new = Tree((1,), (-0.5,), (-1,), (-2,), (0.5, 0.0))
    made = with_ranker(model, ["item_popular", "own_age_days"], popular, new, candidates=12)
    names = model.items.to_pylist()
    shoppers = {f"u{n}": random_history(rng, names, 12) for n in range(8)}
    if in_panels:
        assert best_items.cut(made, policy, 12).is_search
    found = items_listed(made, dict(shoppers), policy, length=7)
    differ = 0
    for user, items in found.items():
        best = best_columns(scores_of(shoppers[user], model, policy, CLOCK), 12)
        own = {entry[1] for entry in shoppers[user]}
        corrected = [
            (-(value + (0.75 if model.terms["item_popular"][column] > 0.2 else 0) + (names[column] not in own) * 0.5),
             column, names[column])
            for column, value in best
        ]  # fmt: skip
        assert [entry["item_id"] for entry in items] == [item for _, _, item in sorted(corrected)[:7]]
        np.testing.assert_allclose([-e["score"] for e in items], [v for v, _, _ in sorted(corrected)[:7]], atol=2e-4)
        assert [entry["position"] for entry in items] == list(range(1, 8))
        differ += [item for _, _, item in sorted(corrected)[:7]] != [names[column] for column, _ in best[:7]]
    assert differ  # else the trees would have been without effect


def test_what_is_left_out_is_not_listed_however_much_trees_prefer_it() -> None:
    model = artifact(["a", "b", "c"], terms={"item_popular": [3.0, 2.0, 1.0]}, weights=both(item_popular=1.0))
    made = with_ranker(model, ["item_popular"], Tree((0,), (2.5,), (-1,), (-2,), (0.0, 100.0)))
    found = items_listed(made, {"u": [bought("a")]}, "new_items")
    assert [entry["item_id"] for entry in found["u"]] == ["b", "c"]
    found = items_listed(made, {"u": [bought("a")]}, rules=without(made, [0]))
    assert [entry["item_id"] for entry in found["u"]] == ["b", "c"]


def test_shoppers_without_known_items_keep_the_order_by_popularity() -> None:
    popularity = {"item_popular_30d": [1.0, 3.0, 2.0]}
    model = artifact(["a", "b", "c"], terms=popularity, weights=both(item_popular_30d=1.0))
    made = with_ranker(model, ["item_popular_30d"], Tree((0,), (1.5,), (-1,), (-2,), (9.0, 0.0)))
    gone = (CLOCK - timedelta(days=1), "gone", "purchase", "o")
    found = items_listed(made, {"new": [], "gone": [gone], "known": [bought("b")]})
    assert [[entry["item_id"] for entry in found[user]] for user in ("new", "gone", "known")] == [
        ["b", "c", "a"], ["b", "c", "a"], ["a", "b", "c"]
    ]  # fmt: skip


def test_reasons_are_those_of_the_blend() -> None:
    model = artifact(
        ["a", "b"], own_half_lives={"own_seen": None}, terms={"item_popular": [0.0, 1.0]},
        weights=both(own_seen=1.0, item_popular=0.5),
    )  # fmt: skip
    made = with_ranker(model, ["own_age_days"], Tree((0,), (-0.5,), (-1,), (-2,), (5.0, 0.0)))
    found = items_listed(made, {"u": [bought("a")]})["u"]
    assert [(entry["item_id"], entry["reason"]) for entry in found] == [("b", "popular_now"), ("a", "bought_before")]


def test_a_catalogue_without_items_has_empty_lists() -> None:
    made = with_ranker(artifact([], weights=both()), ["score"], LEAF)
    assert items_listed(made, {"u": [(datetime(2020, 1, 1), "x", "purchase", "o")]}) == {"u": []}


def test_a_threshold_between_two_numbers_of_single_precision_divides_them() -> None:
    lower = np.float32(0.1)
    upper = np.nextafter(lower, np.float32(1))
    for threshold in (float(lower), (float(lower) + float(upper)) / 2, np.nextafter(float(upper), 0)):
        tree = Tree((0,), (float(threshold),), (-1,), (-2,), (0.0, 1.0))
        assert Trees((tree,)).sums(np.array([[lower], [upper]])).tolist() == [0.0, 1.0]


def test_folds_are_the_same_in_spark_and_lists_of_validation_come_from_trees_that_have_not_seen_the_shopper(
    spark: SparkSession, tmp_path: Path
) -> None:
    prefers_a, prefers_b = (Tree((0,), (1.5,), (-1,), (-2,), values) for values in ((5.0, 0.0), (0.0, 5.0)))
    popular = artifact(["a", "b"], terms={"item_popular": [1.0, 2.0]}, weights=both(item_popular=0.1))
    ranker = Ranker(2, ("item_popular",), (prefers_a,), ((prefers_a,), (prefers_b,)))
    model = replace(popular, recipe=replace(popular.recipe, rankers={"next_baskets": ranker}))
    model.save(tmp_path / "fit")
    users = [*(f"u{n}" for n in range(8)), "anon:\u00e9"]
    rows = [{"user_id": user, "history": history_rows([bought("a")])} for user in users]
    cases = local_frame(spark, f"user_id string, history {HISTORY.simpleString()}", rows)
    parts = validation_lists(cases, artifact=tmp_path / "fit", clock=CLOCK, length=1, model="m")
    assert len(parts) == 2
    made = collected(*parts).to_pylist()
    found = {row["user_id"]: row["items"] for row in made if row["task"] == "next_baskets"}
    folds = fold_of(pa.array(users), 2)
    assert set(folds.tolist()) == {0, 1}
    assert found == {user: ["a"] if fold == 0 else ["b"] for user, fold in zip(users, folds, strict=True)}


def test_lists_of_validation_without_rankers_are_the_served_ones(spark: SparkSession, tmp_path: Path) -> None:
    artifact(["a", "b"], weights=both()).save(tmp_path / "fit")
    cases = local_frame(spark, f"user_id string, history {HISTORY.simpleString()}", [])
    assert len(validation_lists(cases, artifact=tmp_path / "fit", clock=CLOCK, length=1, model="m")) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["fit"]
