"""The search in Spark: trials of both policies in their own tasks, and a whole small search."""

from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from freshet.contracts.shoppers import HISTORY
from freshet.models.als import Factoriser
from freshet.models.als_parameters import FactorisationParameters
from freshet.recommendation.parameters import POLICIES
from freshet.tuning.parameters import SearchParameters
from freshet.tuning.search import own_half_lives, searched
from freshet.tuning.trials import blend_trials, by_policy, collected
from freshet.tuning.weights import Trial
from tests.artifacts import CLOCK, artifact, history_rows
from tests.factories import local_frame
from tests.oracles_recommendation import Entry

CASES = f"user_id string, history {HISTORY.simpleString()}, truth array<string>"


def _search(**changes: Any) -> SearchParameters:
    values: dict[str, Any] = {
        "ranks": (2,), "max_iters": (2,), "reg_param": 0.1, "reg_power": 1.0, "alpha": 1.0, "seed": 1,
        "item_half_lives_days": (0.0,),
        "min_strengths": (0.0,), "user_half_lives_days": (0.0, 30.0), "neighbour_half_life_days": 0.0,
        "neighbour_counts": (3,), "neighbour_asymmetry": 1.0, "neighbour_shrinkage": 0.0,
        "own_half_lives_days": (30.0,), "candidates_per_term": 10, "rounds": 2, "min_gain": 0.0002,
        "max_validation_users": 100, "min_validation_users": 1, "unsearched_weights": {},
    }  # fmt: skip
    return SearchParameters(**{**values, **changes})


def _rebuyers(count: int) -> list[tuple[str, list[Entry], list[str]]]:
    """Shoppers of two tastes with ten items each, who buy again what they bought last."""
    rng = np.random.default_rng(3)
    shoppers = []
    for n in range(count):
        taste = [f"{'xy'[n % 2]}{i}" for i in range(10)]
        items = [str(item) for item in rng.choice(taste, 5, replace=False)]
        past = [(CLOCK - timedelta(days=10.0 * i + 1), item, "purchase", f"o{i}") for i, item in enumerate(items)]
        shoppers.append((f"u{n:03d}", past, items[:2]))
    return shoppers


def _cases(spark: SparkSession, shoppers: list[tuple[str, list[Entry], list[str]]]) -> DataFrame:
    rows = [{"user_id": user, "history": history_rows(past), "truth": truth} for user, past, truth in shoppers]
    return local_frame(spark, CASES, rows)


def test_each_policy_gets_all_cases_in_a_task_of_its_own_in_the_order_of_shoppers(spark: SparkSession) -> None:
    frame = spark.range(0, 5000, 1, 7).select(F.format_string("u%05d", "id").alias("user_id"))

    def work(policy: str, batches: Any) -> tuple[int, list[Trial]]:
        users = [user for batch in batches for user in batch.column("user_id").to_pylist()]
        return len(users), [Trial({policy: float(users == sorted(users))}, 0.0)]

    found = collected(by_policy(frame, work))
    assert found == {policy: (5000, [Trial({policy: 1.0}, 0.0)]) for policy in POLICIES}


def test_a_policy_that_nobody_can_be_judged_on_is_missing(spark: SparkSession) -> None:
    shoppers = _rebuyers(4)
    model = artifact([f"{t}{i}" for t in "xy" for i in range(10)], own_half_lives=own_half_lives(_search()))
    found = blend_trials(_cases(spark, shoppers), model, clock=CLOCK, k=5, params=_search())
    assert set(found) == {"next_baskets"}
    count, trials = found["next_baskets"]
    assert count == 4
    assert trials[-1].ndcg == max(trial.ndcg for trial in trials)


def test_a_search_finds_that_newest_purchases_are_bought_again(spark: SparkSession) -> None:
    shoppers = _rebuyers(24)
    pairs = [
        {"user_id": user, "item_id": item, "first_time": time, "strength": 1.0}
        for user, past, _ in shoppers
        for time, item, _, _ in past
    ]
    strengths = local_frame(spark, "user_id string, item_id string, first_time timestamp, strength double", pairs)
    windows = [f"shoppers_{days}d" for days in (7, 14, 30, 90, 365)]
    names = ", ".join(f"{name} double" for name in ("shoppers", "trend", *windows))
    items = sorted({row["item_id"] for row in pairs})
    features = local_frame(
        spark,
        f"item_id string, first_seen timestamp, {names}",
        [{"item_id": item, "first_seen": CLOCK - timedelta(days=200), "trend": 0.0, "shoppers": float(n % 3)}
         | dict.fromkeys(windows, 1.0) for n, item in enumerate(items)],
    ).toArrow()  # fmt: skip
    said: list[str] = []
    result = searched(
        _cases(spark, shoppers),
        strengths=lambda half_life, at_least: strengths.where(F.col("strength") >= at_least),
        features=features,
        target="purchase",
        event_weights={"purchase": 1.0, "refund": -1.0},
        clock=CLOCK,
        k=5,
        params=_search(),
        factoriser=Factoriser(FactorisationParameters("native", 3, 1.0), 2, said.append),
    )
    assert result.ndcg["next_baskets"] == pytest.approx(1.0)
    assert result.users == {"next_baskets": 24}
    # Nobody bought anything new: that task borrows the weights of the other.
    assert result.artifact.recipe.weights["new_items"] == result.artifact.recipe.weights["next_baskets"]
    assert set(result.artifact.recipe.own_half_lives) <= set(result.artifact.recipe.weights["next_baskets"])
    assert "own_frequency_30d" in result.artifact.recipe.own_half_lives
    assert said


@pytest.mark.parametrize(
    "wrong", [{"ranks": ()}, {"rounds": 0}, {"neighbour_counts": ()}, {"max_iters": ()}, {"max_iters": (0,)}]
)
def test_impossible_parameters_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"grid|must be"):
        _search(**wrong)


def test_own_terms_are_named_by_half_life_and_zero_stands_for_no_decay() -> None:
    assert own_half_lives(_search(own_half_lives_days=(0.0, 7.5))) == {
        "own_frequency_0d": None,
        "own_frequency_7.5d": 7.5,
        "own_seen": None,
    }
