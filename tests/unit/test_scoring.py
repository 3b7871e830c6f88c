"""Scores against a plain loop over the formula, term by term and all together."""

from datetime import timedelta

import numpy as np
import pytest

from freshet.contracts.policies import POLICIES
from freshet.ranking.artifact import Artifact
from freshet.ranking.histories.history_block import HistoryBlock, read_block
from freshet.ranking.scoring import shopper_factors, sparse_rows
from freshet.ranking.terms.factors import factor_scale
from tests.artifacts import CLOCK, all_scores, artifact, both, histories, random_artifact, random_history, recipe
from tests.oracles_recommendation import Entry, scores_of


def _block(model: Artifact, *each: list[Entry] | None) -> HistoryBlock:
    return read_block(histories(*each), items=model.items, event_names=model.recipe.event_names, clock=CLOCK)


def _bought(item: str, days_ago: float = 1.0, event: str = "purchase") -> Entry:
    return (CLOCK - timedelta(days=days_ago), item, event, f"o{days_ago}")


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize(("items", "rank"), [(1, 1), (3, 6), (23, 5), (40, 0)])
def test_scores_equal_a_loop_over_the_formula(policy: str, items: int, rank: int) -> None:
    rng = np.random.default_rng(items)
    changes = {} if rank else {"als": None}
    model = random_artifact(rng, items=items, rank=rank, **changes)
    names = [*model.items.to_pylist(), "unknown"]
    shoppers = [[], *[random_history(rng, names, int(length)) for length in rng.integers(0, 25, 12)]]
    found = all_scores(_block(model, *shoppers), model, policy)
    assert found.dtype == np.float32
    for row, history in zip(found, shoppers, strict=True):
        np.testing.assert_allclose(row, scores_of(history, model, policy, CLOCK), atol=2e-4)


def test_mean_and_deviation_of_factor_scores_equal_those_of_all_scores() -> None:
    rng = np.random.default_rng(2)
    model = random_artifact(rng, items=50, rank=7)
    block = _block(model, *[random_history(rng, model.items.to_pylist(), 9) for _ in range(5)])
    vectors = shopper_factors(block, model)
    mean, deviation = factor_scale(vectors, model.item_factors)
    scores = vectors.astype(np.float64) @ np.asarray(model.factors, dtype=np.float64).T
    np.testing.assert_allclose(mean, scores.mean(axis=1), rtol=1e-5)
    np.testing.assert_allclose(deviation, scores.std(axis=1), rtol=1e-4)


def test_a_refund_lowers_the_score_of_what_was_returned() -> None:
    model = artifact(["a", "b"], own_half_lives={"own_frequency_30d": 30.0}, weights=both(own_frequency_30d=1.0))
    purchases = [_bought("a", 1), _bought("a", 2), _bought("a", 3), _bought("b", 4), _bought("b", 5)]
    with_refund = [*purchases, _bought("b", 2, "refund")]
    before, after = all_scores(_block(model, purchases, with_refund), model, "next_baskets")
    assert after[1] < before[1]
    assert after[0] == before[0] == 1.0


@pytest.mark.parametrize("event", ["purchase", "view_item"])
def test_new_items_leaves_out_items_with_the_target_event_even_without_a_weight(event: str) -> None:
    model = artifact(["a", "b", "c"], target=event, event_weights={"purchase": 1.0})
    history = [_bought("b", 1, event), _bought("c", 2, "refund")]
    scores = all_scores(_block(model, history), model, "new_items")
    assert np.isneginf(scores).tolist() == [[False, True, False]]
    assert not np.isneginf(all_scores(_block(model, history), model, "next_baskets")).any()


def test_an_item_bought_and_returned_stays_out_of_new_items() -> None:
    model = artifact(["a", "b"])
    history = [_bought("a", 5), _bought("a", 1, "refund")]
    assert np.isneginf(all_scores(_block(model, history), model, "new_items")).tolist() == [[True, False]]


def test_weights_of_terms_that_an_artifact_lacks_change_nothing() -> None:
    model = artifact(["a", "b"], weights=both(factors=1.0, neighbours=1.0, item_trend=3.0, own_seen=2.0))
    assert all_scores(_block(model, [_bought("a")]), model, "next_baskets").tolist() == [[0.0, 0.0]]


def test_own_terms_are_scaled_to_one_and_seen_ignores_age() -> None:
    model = artifact(["a", "b"], own_half_lives={"own_frequency_10d": 10.0, "own_seen": None})
    block = _block(model, [_bought("a", 10), _bought("b", 90)], [])
    terms = {name: sparse_rows(name, block, model) for name in model.recipe.sparse_terms}
    ratio = np.log1p(3 * 0.5**9) / np.log1p(3 * 0.5)
    np.testing.assert_allclose(terms["own_frequency_10d"].toarray(), [[1.0, ratio], [0.0, 0.0]], rtol=1e-5)
    assert terms["own_seen"].toarray().tolist() == [[1.0, 1.0], [0.0, 0.0]]


def test_a_target_without_a_weight_still_has_an_event_code() -> None:
    plain = recipe(target="select_item", event_weights={"purchase": 1.0})
    assert plain.event_names == ["purchase", "select_item"]
    assert plain.target_code == 1
    assert recipe().target_code == 0
