"""Coordinate ascent on designed candidates, and candidates against whole score rows."""

import itertools
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from numpy.typing import NDArray

from freshet.contracts.policies import POLICIES
from freshet.ranking.artifact import Artifact
from freshet.ranking.histories.history_block import HistoryBlock, read_block
from freshet.tuning.candidates import candidates_of
from freshet.tuning.weights import Candidates, Trial, best_weights, ideal_dcg
from tests.artifacts import CLOCK, all_scores, artifact, both, cases, random_artifact, random_history
from tests.oracles_recommendation import best_columns, ndcg_of


def _designed(true_weights: dict[str, float], extra: int = 1, shoppers: int = 120, width: int = 60) -> Candidates:
    """Terms of noise; the true items of a shopper are the five best by the planted weights."""
    rng = np.random.default_rng(17)
    names = [*true_weights, *[f"noise{n}" for n in range(extra)]]
    terms = {name: rng.standard_normal((shoppers, width)).astype(np.float32) for name in names}
    planted = sum(weight * terms[name] for name, weight in true_weights.items())
    hits = np.zeros((shoppers, width), dtype=bool)
    np.put_along_axis(hits, np.argsort(-planted, axis=1)[:, :5], values=True, axis=1)
    return Candidates(terms, np.ones((shoppers, width), dtype=bool), hits, ideal_dcg(np.full(shoppers, 5), 10), 10)


def test_ascent_finds_the_ranking_of_planted_weights() -> None:
    candidates = _designed({"a": 1.0, "b": 2.0, "c": -0.5})
    start = {"a": 1.0}
    trials = best_weights(candidates, start, rounds=8, min_gain=1e-4)
    assert trials[0].ndcg < 0.7
    assert trials[-1].ndcg > 0.97
    weights = trials[-1].weights
    assert weights["b"] / weights["a"] == pytest.approx(2.0, rel=0.25)
    assert weights["c"] / weights["a"] == pytest.approx(-0.5, abs=0.2)
    assert abs(weights.get("noise0", 0.0)) < 0.15 * weights["a"]


def test_each_trial_beats_the_one_before_and_the_last_is_what_its_weights_give() -> None:
    candidates = _designed({"a": 1.0, "b": 0.3})
    trials = best_weights(candidates, {"b": 1.0}, rounds=3, min_gain=1e-4)
    values = [trial.ndcg for trial in trials]
    assert len(values) > 2
    assert all(later > earlier for earlier, later in itertools.pairwise(values[:-1]))
    last = trials[-1]
    blend = sum(np.float32(weight) * candidates.terms[name] for name, weight in last.weights.items())
    assert candidates.ndcg(blend) == pytest.approx(last.ndcg, abs=1e-9)
    assert last.ndcg >= max(values) - 1e-4


def test_a_search_repeats_exactly() -> None:
    first, second = [best_weights(_designed({"a": 1.0, "b": 2.0}), {"a": 1.0}, rounds=2, min_gain=0.0) for _ in "12"]
    assert first == second


def test_a_weight_whose_removal_costs_nothing_is_removed() -> None:
    candidates = _designed({"a": 1.0})
    constant = np.ones_like(candidates.terms["a"])
    with_constant = Candidates({"a": candidates.terms["a"], "same": constant}, *_rest(candidates))
    trials = best_weights(with_constant, {"a": 1.0, "same": 0.5}, rounds=2, min_gain=0.0)
    assert trials[-1] == Trial({"a": 1.0}, 1.0)


def _rest(candidates: Candidates) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    return candidates.allowed, candidates.hits, candidates.ideal, candidates.k


def test_what_may_not_be_listed_is_no_hit_and_ties_go_to_the_lower_column() -> None:
    allowed = np.array([[True, False, True, True]])
    hits = np.array([[False, False, True, False]])
    candidates = Candidates({}, allowed, hits, ideal_dcg(np.array([1]), 2), 2)
    assert candidates.ndcg(np.array([[0.0, 9.0, 0.0, 0.0]], dtype=np.float32)) == pytest.approx(1 / np.log2(3))
    assert candidates.ndcg(np.array([[1.0, 9.0, 0.0, 1.0]], dtype=np.float32)) == 0.0


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("rank", [0, 4])
def test_ndcg_of_candidates_that_cover_the_catalogue_equals_ndcg_of_whole_rows(policy: str, rank: int) -> None:
    rng = np.random.default_rng(rank)
    model = random_artifact(rng, items=25, rank=rank, **({} if rank else {"als": None}))
    names = model.items.to_pylist()
    shoppers = []
    for n in range(30):
        past = random_history(rng, names, int(rng.integers(0, 8)))
        truth = [str(name) for name in rng.choice([*names, "unknown"], int(rng.integers(0, 6)), replace=False)]
        shoppers.append((f"u{n}", past, truth))
    rows = cases(shoppers)
    # Slices are read in blocks of shoppers; parts of different widths are joined.
    found = candidates_of(
        iter([rows.slice(0, 11), rows.slice(11)]), model, policy=policy, clock=CLOCK, k=5, per_term=25
    )
    assert found is not None
    weights = {name: weight for name, weight in model.recipe.weights[policy].items() if name in found.terms}
    plain = model if policy == "next_baskets" else _without_own(model)
    expected = []
    for user, past, truth in shoppers:
        owned = {item for _, item, event, _ in past if event == "purchase"} if policy == "new_items" else set()
        true = set(truth) - owned
        if not true:
            continue
        block = read_block(
            cases([(user, past, truth)]).column("history"),
            items=model.items, event_names=model.recipe.event_names, clock=CLOCK,
        )  # fmt: skip
        scores = all_scores(block, plain, policy)[0]
        ranked = [names[c] for c, v in best_columns([float(v) for v in scores], 5) if np.isfinite(v)]
        expected.append(ndcg_of(ranked, true, 5))
    assert len(found.allowed) == len(expected)
    blend = sum(np.float32(weight) * found.terms[name] for name, weight in weights.items())
    assert found.ndcg(blend) == pytest.approx(np.mean(expected), abs=1e-6)


def _without_own(model: Artifact) -> Artifact:
    weights = {name: w for name, w in model.recipe.weights["new_items"].items() if not name.startswith("own_")}
    return replace(model, recipe=replace(model.recipe, weights=both(**weights)))


def test_few_candidates_per_term_hold_the_best_items_of_each_term() -> None:
    model = artifact(
        ["a", "b", "c", "d", "e"],
        terms={"item_popular_7d": [5, 4, 0, 0, 0], "item_trend": [0, 0, 0, 4, 5]},
        weights=both(),
    )
    found = candidates_of(
        iter([cases([("u", [], ["a", "e"])])]), model, policy="next_baskets", clock=CLOCK, k=3, per_term=1
    )
    assert found is not None
    assert sorted(found.terms["item_popular_7d"][0][found.allowed[0]].tolist()) == [0.0, 5.0]
    assert found.hits.sum() == 2


def test_shoppers_with_nothing_to_find_are_not_judged_and_nobody_gives_none() -> None:
    model = artifact(["a", "b"], terms={"item_popular_7d": [1, 0]})
    past = [(CLOCK - timedelta(days=1), "a", "purchase", "o1")]
    rows = cases([("again", past, ["a"]), ("nothing", past, [])])
    assert candidates_of(iter([rows]), model, policy="new_items", clock=CLOCK, k=3, per_term=2) is None
    found = candidates_of(iter([rows]), model, policy="next_baskets", clock=CLOCK, k=3, per_term=2)
    assert found is not None
    assert len(found.allowed) == 1


@pytest.mark.parametrize("policy", POLICIES)
def test_candidates_are_the_best_of_each_term_by_dense_rows(policy: str) -> None:
    rng = np.random.default_rng(4)
    model = random_artifact(rng, items=80, rank=3)
    names, few = model.items.to_pylist(), 6
    shoppers = [(f"u{n}", random_history(rng, names, 9), [names[n], names[n + 20]]) for n in range(12)]
    rows = cases(shoppers)
    found = candidates_of(iter([rows]), model, policy=policy, clock=CLOCK, k=5, per_term=few)
    assert found is not None
    block = read_block(
        rows.column("history"), items=model.items, event_names=model.recipe.event_names, clock=CLOCK
    )  # fmt: skip
    of_all = {name: np.tile(values, (12, 1)) for name, values in model.terms.items()}
    alone = {name: _alone_scores(block, model, name) for name in found.terms if name not in of_all}
    dense = {name: of_all[name] if name in of_all else alone[name] for name in found.terms}
    owned = block.touched(model.recipe.target_code).toarray() > 0
    place = 0
    for n, (_, _, truth) in enumerate(shoppers):
        out = owned[n] & (policy == "new_items")
        if all(out[names.index(item)] for item in truth):
            continue
        best_items: set[int] = set()
        for name, values in dense.items():
            order = sorted(range(80), key=lambda c: (-values[n, c], c))
            # Those that all shoppers have in common are chosen before what a shopper had is taken out.
            best = order[:few] if name in of_all else [c for c in order if not out[c]][:few]
            best_items |= {c for c in best if not out[c] and (values[n, c] > 0 or name in ("factors", *of_all))}
        expected = np.array([[values[n, c] for values in dense.values()] for c in sorted(best_items)])
        given = np.array([values[place, found.allowed[place]] for values in found.terms.values()]).T
        assert given == pytest.approx(expected, abs=1e-5)
        place += 1
    assert place == len(found.allowed)


def _alone_scores(block: HistoryBlock, model: Artifact, term: str) -> NDArray[np.float32]:
    """[shoppers, items]: whole rows by the weight of this term alone, without what the policy leaves out."""
    bare = replace(model, terms={}, recipe=replace(model.recipe, weights=both(**{term: 1.0})))
    return all_scores(block, bare, "next_baskets")
