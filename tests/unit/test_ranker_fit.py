"""The fit of rankers on designed candidates: what they find, when there are none, and that trees are LightGBM's."""

from dataclasses import replace
from typing import Any

import lightgbm
import numpy as np
import pytest

from freshet.ranking.ranker.ranker import Ranker
from freshet.runs.settings import load_settings
from freshet.tuning.ranker_fit import (
    CrossValidation,
    RankerRows,
    RankerTrial,
    chosen_trial,
    cross_validated,
    fitted_ranker,
)

PARAMS = replace(load_settings().ranker, trees=(10, 20), learning_rate=0.2, min_leaf_rows=20, candidates=20)
NAMES = ["score", "useful", "noise"]
SHOPPERS, CANDIDATES = 200, 20


def rows(*, useful: bool, seed: int = 1, shoppers: int = SHOPPERS) -> RankerRows:
    """Two hits a shopper: the candidates with the highest feature 1 if `useful`, else by chance."""
    rng = np.random.default_rng(seed)
    features = rng.random((shoppers, CANDIDATES, len(NAMES))).astype(np.float32)
    features[:, :, 0] = -np.sort(-features[:, :, 0], axis=1)
    order = np.argsort(-features[:, :, 1 if useful else 2] + (0 if useful else rng.random(features.shape[:2]) * 99))
    hits = np.zeros((shoppers, CANDIDATES), np.bool_)
    np.put_along_axis(hits, order[:, :2], True, axis=1)
    return RankerRows(
        features, hits, np.ones_like(hits), np.full(shoppers, 1 + 1 / np.log2(3)), np.arange(shoppers) % 4
    )


def trees_of(trial: RankerTrial | None) -> int:
    return 0 if trial is None else trial.trees


def test_trees_find_what_the_blend_ignores() -> None:
    found = cross_validated(rows(useful=True), PARAMS, k=5)
    trials = found.trials
    assert [trial.trees for trial in trials] == [10, 20]
    assert trials[-1].gain > 0.5
    chosen = chosen_trial(trials)
    assert chosen is not None
    trees = chosen.trees
    assert trees in PARAMS.trees
    made = fitted_ranker(rows(useful=True), NAMES, trees, PARAMS, found=found)
    assert len(made.trees) == trees
    assert made.candidates == CANDIDATES
    assert [len(trees_of_fold) for trees_of_fold in made.folds] == [trees] * PARAMS.folds
    judged = rows(useful=True, seed=2)
    after = judged.ndcg(judged.features[:, :, 0] + added(made, judged), 5).mean()
    assert after > judged.ndcg(judged.features[:, :, 0], 5).mean() + 0.5


def added(made: Ranker, judged: RankerRows) -> np.ndarray:
    features = judged.features[:, :, [NAMES.index(name) for name in made.features]]
    return made.correction.sums(features.reshape(-1, len(made.features))).reshape(judged.hits.shape)


def test_chance_gives_no_trees() -> None:
    # Three draws: one of them could gain its standard error by luck.
    trials = [cross_validated(rows(useful=False, seed=seed), PARAMS, k=5).trials for seed in (3, 4, 5)]
    chosen = [trees_of(chosen_trial(each)) for each in trials]
    assert chosen.count(0) >= 2


@pytest.mark.parametrize(
    ("trials", "chosen"),
    [
        ([], 0),
        ([RankerTrial(10, 0.019, 0.01), RankerTrial(20, 0.03, 0.01)], 20),
        ([RankerTrial(10, 0.021, 0.01), RankerTrial(20, 0.03, 0.01)], 10),
        ([RankerTrial(10, 0.01, 0.01)], 0),
        ([RankerTrial(10, -0.01, 0.001)], 0),
    ],
    ids=["no trials", "the best", "the fewest within an error", "not above its error", "a loss"],
)
def test_trees_must_gain_more_than_the_error(trials: list[RankerTrial], chosen: int) -> None:
    assert trees_of(chosen_trial(trials)) == chosen


def test_too_few_shoppers_or_no_hits_give_no_trials() -> None:
    assert cross_validated(rows(useful=True, shoppers=50), PARAMS, k=5).trials == []
    nothing = rows(useful=True)
    assert cross_validated(nothing._replace(hits=np.zeros_like(nothing.hits)), PARAMS, k=5).trials == []
    padded = nothing._replace(is_item=~nothing.hits)
    assert cross_validated(padded, PARAMS, k=5).trials == []


def test_the_same_rows_give_the_same_trees() -> None:
    found = [cross_validated(rows(useful=True), PARAMS, k=5) for _ in range(2)]
    assert found[0].trials == found[1].trials
    one, other = (fitted_ranker(rows(useful=True), NAMES, 10, PARAMS, found=each) for each in found)
    assert one == other


def test_the_sum_of_trees_is_what_lightgbm_predicts_over_the_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    fitted: list[Any] = []
    train = lightgbm.train

    def kept(*arguments: Any, **named: Any) -> lightgbm.Booster:
        fitted.append(train(*arguments, **named))
        return fitted[-1]

    monkeypatch.setattr(lightgbm, "train", kept)
    mine = rows(useful=True)
    made = fitted_ranker(mine, NAMES, 20, PARAMS, found=CrossValidation([], []))
    fresh = rows(useful=True, seed=9)
    expected = fitted[0].predict(fresh.features.reshape(-1, len(NAMES)))
    found = added(made, fresh).ravel()
    scale = expected.std() / found.std()
    assert scale > 0
    np.testing.assert_allclose(found * scale, expected, atol=1e-4)


def test_ndcg_is_that_of_a_loop() -> None:
    judged = rows(useful=False, seed=7)
    judged.is_item[:, 17:] = False
    scores = np.round(np.random.default_rng(8).random(judged.hits.shape), 1)  # with ties
    found = judged.ndcg(scores, 5)
    for row in range(SHOPPERS):
        order = sorted(range(17), key=lambda column: (-scores[row, column], column))[:5]
        gained = sum(1 / np.log2(place + 2) for place, column in enumerate(order) if judged.hits[row, column])
        assert found[row] == pytest.approx(gained / judged.ideal[row])


def test_trees_of_a_fold_have_not_seen_its_shoppers() -> None:
    # Shoppers of fold 0 take the opposite of all others: only trees that have seen them could know.
    mine = rows(useful=True)
    strange = mine.fold == 0
    order = np.argsort(mine.features[:, :, 1], axis=1)
    hits = mine.hits.copy()
    np.put_along_axis(hits, order[:, :2], True, axis=1)
    hits[strange] &= ~mine.hits[strange]
    hits[~strange] = mine.hits[~strange]
    mixed = mine._replace(hits=hits)
    found = cross_validated(mixed, PARAMS, k=5)
    made = fitted_ranker(mixed, NAMES, 20, PARAMS, found=found)
    judged = mixed.of(strange)
    by_fold = [
        judged.ndcg(judged.features[:, :, 0] + added(made.without_fold(fold), judged), 5).mean() for fold in range(4)
    ]
    assert by_fold[0] < min(by_fold[1:]) / 2
