"""Lists on designed data, and their independence of how rows arrive."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession
from scipy.sparse import csr_matrix

from freshet.contracts.models import LIST_ITEM
from freshet.contracts.policies import POLICIES
from freshet.contracts.shoppers import HISTORY
from freshet.ranking import best_items, scoring
from freshet.ranking.lists.shopper_lists import recommended, recommended_in_process
from freshet.ranking.parameters import ListParameters
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
from tests.oracles_recommendation import best_columns, scores_of
from tests.rules_data import without


@pytest.mark.parametrize("policy", POLICIES)
def test_lists_hold_the_highest_scores_of_the_formula_at_positions_from_one(policy: str) -> None:
    rng = np.random.default_rng(3)
    model = random_artifact(rng, items=30, rank=4)
    names = model.items.to_pylist()
    shoppers = {f"u{n}": random_history(rng, names, 12) for n in range(8)}
    for user, items in items_listed(model, shoppers, policy, length=7).items():
        expected = best_columns(scores_of(shoppers[user], model, policy, CLOCK), 7)
        assert [entry["item_id"] for entry in items] == [names[column] for column, _ in expected]
        assert [entry["position"] for entry in items] == list(range(1, 8))
        np.testing.assert_allclose([entry["score"] for entry in items], [v for _, v in expected], atol=2e-4)


@pytest.mark.parametrize("policy", POLICIES)
def test_lists_from_panels_of_the_catalogue_hold_the_highest_scores_of_the_formula(
    policy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Panels of 64 items and blocks of 3 shoppers: neither number divides what there is.
    monkeypatch.setattr(best_items, "_PANEL", (3, 64))
    rng = np.random.default_rng(8)
    model = random_artifact(rng, items=300, rank=4)
    model = replace(model, item_weights={}, terms={name: np.round(v, 1) for name, v in model.terms.items()})
    assert best_items.cut(model, policy, 1) == (3, 64, True)
    names, unavailable = model.items.to_pylist(), np.array([150, 0, 299, 64, 63])
    shoppers = {f"u{n}": random_history(rng, names, 40) for n in range(8)} | {"new": []}
    found = listed(
        batch(dict(shoppers)), model, clock=CLOCK, length=1, policy=policy, rules=without(model, unavailable)
    )
    whole = listed(
        batch(dict(shoppers)), model, clock=CLOCK, length=300, policy=policy, rules=without(model, unavailable)
    )
    assert best_items.cut(model, policy, 300).items == 300
    for row, longest in zip(found.to_pylist(), whole.to_pylist(), strict=True):
        scores = scores_of(shoppers[row["user_id"]], model, policy, CLOCK)
        expected = next(column for column, _ in best_columns(scores, 300) if column not in unavailable)
        assert [entry["item_id"] for entry in row["items"]] == [names[expected]]
        # The last digit of a sum depends on how the processor's BLAS cuts a product.
        best = longest["items"][0]
        assert row["items"] == [best | {"score": pytest.approx(best["score"], rel=1e-6)}]


@pytest.mark.parametrize("policy", POLICIES)
def test_lists_of_item_models_over_many_panels_hold_the_highest_scores_of_the_formula(
    policy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What an item model gives is scaled by its largest value, which lies in one panel only: rows have to be whole.
    monkeypatch.setattr(best_items, "_PANEL", (3, 64))
    rng = np.random.default_rng(9)
    model = random_artifact(rng, items=300, rank=4)
    assert set(model.item_weights) & set(model.recipe.weights[policy])
    names = model.items.to_pylist()
    shoppers = {f"u{n}": random_history(rng, names, 40) for n in range(8)}
    for user, items in items_listed(model, shoppers, policy, length=1).items():
        ((column, value),) = best_columns(scores_of(shoppers[user], model, policy, CLOCK), 1)
        assert [entry["item_id"] for entry in items] == [names[column]]
        np.testing.assert_allclose([entry["score"] for entry in items], [value], atol=2e-4)


def test_equal_scores_are_ordered_by_item_id() -> None:
    model = artifact(["a", "b", "c", "d"], terms={"item_new": [0, 1, 1, 0]}, weights=both(item_new=1.0))
    assert [entry["item_id"] for entry in items_listed(model, {"u": []}, length=4)["u"]] == ["b", "c", "a", "d"]


def test_new_items_never_lists_an_item_of_the_past_and_may_be_shorter() -> None:
    model = artifact(["a", "b", "c"], terms={"item_popular": [3, 2, 1]}, weights=both(item_popular=1.0))
    lists = items_listed(model, {"u": [bought("a"), bought("b", 300)], "all": [bought(i) for i in "abc"]}, "new_items")
    assert [(entry["item_id"], entry["position"]) for entry in lists["u"]] == [("c", 1)]
    assert lists["all"] == []


@pytest.mark.parametrize("policy", POLICIES)
def test_one_item_one_shopper_gives_a_list_of_at_most_one(policy: str) -> None:
    model = random_artifact(np.random.default_rng(0), items=1, rank=3)
    only = model.items[0].as_py()
    found = items_listed(model, {"u": [bought(only)]}, policy, length=20)["u"]
    assert [entry["item_id"] for entry in found] == ([only] if policy == "next_baskets" else [])


def test_an_empty_catalogue_gives_empty_lists_and_no_rows_give_none() -> None:
    model = artifact([], weights=both(factors=1.0, neighbours=1.0))
    assert items_listed(model, {"u": [bought("a")]}) == {"u": []}
    some = random_artifact(np.random.default_rng(0), items=4, rank=2)
    assert listed(batch({}), some, clock=CLOCK, length=3, policy="new_items").num_rows == 0


def test_lists_do_not_depend_on_batches_or_partitions(spark: SparkSession, tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    model = random_artifact(rng, items=90, rank=16)
    model.save(tmp_path / "v1")
    names = [*model.items.to_pylist(), "unknown"]
    shoppers = {f"u{n:02d}": random_history(rng, names, int(rng.integers(0, 30))) for n in range(40)}
    expected = _rows(listed(batch(dict(shoppers)), model, clock=CLOCK, length=6, policy="next_baskets"))
    whole = batch(dict(shoppers))
    for size in (1, 7):
        pieces = [
            listed(whole.slice(start, size), model, clock=CLOCK, length=6, policy="next_baskets")
            for start in range(0, 40, size)
        ]
        _same(_rows(*pieces), expected)
    rows = [{"user_id": user, "history": history_rows(history)} for user, history in shoppers.items()]
    frame = local_frame(spark, f"user_id string, history {HISTORY.simpleString()}", rows)
    found = recommended(frame.repartition(3), artifact=tmp_path / "v1", clock=CLOCK, length=6, policy="next_baskets")
    assert found.schema["items"].dataType.elementType == LIST_ITEM
    _same(_rows(*found.toArrow().to_batches()), expected)


def _rows(*batches: pa.RecordBatch) -> dict[str, dict[str, Any]]:
    return {row["user_id"]: row for each in batches for row in each.to_pylist()}


def _same(found: dict[str, dict[str, Any]], expected: dict[str, dict[str, Any]]) -> None:
    """Equal but for the last bits of scores, which a BLAS rounds by the shape of a product."""
    assert _without_scores(found) == _without_scores(expected)
    for user, row in expected.items():
        scores = [entry["score"] for entry in row["items"]]
        np.testing.assert_allclose([entry["score"] for entry in found[user]["items"]], scores, atol=1e-5)


def _without_scores(rows: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {
        user: (row["unknown_items"], [(e["position"], e["item_id"], e["reason"]) for e in row["items"]])
        for user, row in rows.items()
    }


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_lists_made_at_hand_are_those_of_a_batch_on_any_number_of_threads(tmp_path: Path, threads: int) -> None:
    rng = np.random.default_rng(12)
    model = random_artifact(rng, items=30, rank=4)
    model.save(tmp_path / "1")
    shoppers = {f"u{n}": random_history(rng, model.items.to_pylist(), 8) for n in range(5)}
    rows = batch(dict(shoppers))
    expected = listed(rows, model, clock=CLOCK, length=6, policy="new_items")
    users = rows.select(["user_id"])
    in_pieces = pa.Table.from_batches([users.slice(0, 2), users.slice(2)])
    found = recommended_in_process(
        in_pieces,
        packed(rows.column("history")),
        artifact=tmp_path / "1",
        clock=CLOCK,
        length=6,
        policy="new_items",
        threads=threads,
    )
    _same(_rows(*found.to_batches()), _rows(*expected.to_batches()))


def test_list_parameters_refuse_unknown_policies_and_empty_lists() -> None:
    ListParameters(20, "auto", 0.1, 30, 20, 100, (), 20, 50.0)
    with pytest.raises(ValueError, match="seen_policy"):
        ListParameters(20, "sometimes", 0.1, 30, 20, 100, (), 20, 50.0)
    with pytest.raises(ValueError, match="repeat_share"):
        ListParameters(20, "auto", 1.1, 30, 20, 100, (), 20, 50.0)
    with pytest.raises(ValueError, match="1 or more"):
        ListParameters(0, "auto", 0.1, 30, 20, 100, (), 20, 50.0)


@pytest.mark.parametrize("policy", POLICIES)
def test_lists_of_item_models_that_reach_little_of_a_large_catalogue_hold_the_highest_scores_of_the_formula(
    policy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So few items are reached that a search adds what item models say to these alone.
    monkeypatch.setattr(best_items, "_PANEL", (3, 64))
    monkeypatch.setattr(scoring, "_REACHED_COST", 1)
    rng = np.random.default_rng(10)
    model = random_artifact(rng, items=1000, rank=4)
    thin = {name: _thinned(weights, rng) for name, weights in model.item_weights.items()}
    model = replace(model, item_weights=thin)
    assert best_items.cut(model, policy, 1).is_search
    names, unavailable = model.items.to_pylist(), np.array([150, 0, 999, 64, 63])
    shoppers = {f"u{n}": random_history(rng, names, 40) for n in range(8)} | {"new": []}
    found = items_listed(model, dict(shoppers), policy, length=1, rules=without(model, unavailable))
    whole = items_listed(model, dict(shoppers), policy, length=1000, rules=without(model, unavailable))
    assert not best_items.cut(model, policy, 1000).is_search
    reasons = set()
    for user, items in found.items():
        scores = scores_of(shoppers[user], model, policy, CLOCK)
        column, value = next((c, v) for c, v in best_columns(scores, 1000) if c not in unavailable)
        assert [entry["item_id"] for entry in items] == [names[column]]
        np.testing.assert_allclose([entry["score"] for entry in items], [value], atol=2e-4)
        assert (items[0]["item_id"], items[0]["reason"]) == (whole[user][0]["item_id"], whole[user][0]["reason"])
        reasons.add(items[0]["reason"].partition(":")[0])
    assert len(reasons) > 1


def _thinned(weights: csr_matrix, rng: np.random.Generator) -> csr_matrix:
    """One entry in a hundred."""
    thinned = weights.toarray() * (rng.random(weights.shape) < 0.01)
    return csr_matrix(thinned.astype(np.float32))
