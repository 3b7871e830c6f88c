"""The search in Spark: trials of both policies in their own tasks, and a whole small search."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from freshet.contracts.policies import POLICIES
from freshet.contracts.shoppers import HISTORY
from freshet.models.factors.als import Factoriser
from freshet.models.factors.parameters import FactorisationParameters
from freshet.models.items.item_model import FitLimits, TrainingData
from freshet.models.items.linear_items import LinearItemConfiguration, LinearItemSettings
from freshet.models.items.neighbours import NeighbourSettings
from freshet.models.items.next_items import NextItemSettings
from freshet.models.items.registry import ITEM_MODELS
from freshet.ranking.ranker.ranker import Ranker
from freshet.ranking.ranker.trees import Tree
from freshet.ranking.terms.own_items import HalfLife, NoConfiguration
from freshet.ranking.terms.registry import sparse_options
from freshet.tuning import search
from freshet.tuning.parameters import ItemModelParameters, RankerParameters, SearchParameters
from freshet.tuning.ranker_fit import RankerTrial
from freshet.tuning.rankers import RankerSearch, searched_ranker, searched_rankers
from freshet.tuning.search import Judging, SearchResult, SearchSettings, searched
from freshet.tuning.trials import blend_trials, collected
from freshet.tuning.weights import Trial
from tests.artifacts import CLOCK, artifact, both, history_rows, items_listed
from tests.catalogues import with_unknown_facts
from tests.factories import local_frame
from tests.oracles_recommendation import Entry

CASES = f"user_id string, history {HISTORY.simpleString()}, truth array<string>"


def _search(**changes: Any) -> SearchParameters:
    values: dict[str, Any] = {
        "trials": 1, "trials_at_once": 1, "patience": 1,
        "ranks": (2,), "max_iters": (2,), "reg_params": (0.1,), "reg_power": 1.0, "alphas": (1.0,), "seed": 1,
        "item_half_lives_days": (0.0,), "min_strengths": (0.0,), "user_half_lives_days": (0.0, 30.0),
        "own_half_lives_days": (30.0,), "own_steps": (), "candidates_per_term": 10, "rounds": 2, "min_gain": 0.0002,
        "max_validation_users": 100, "min_validation_users": 1,
    }  # fmt: skip
    return SearchParameters(**{**values, **changes})


def _ranker(**changes: Any) -> RankerParameters:
    values: dict[str, Any] = {
        "trees": (40,), "candidates": 10, "min_shoppers": 50, "folds": 3, "learning_rate": 0.3, "leaves": 4,
        "min_leaf_rows": 10, "truncation": 5, "feature_share": 1.0, "row_share": 1.0, "seed": 1,
    }  # fmt: skip
    return RankerParameters(**{**values, **changes})


def _items(
    counts: tuple[int, ...] = (3,), linear: tuple[float, ...] = (), following: tuple[float, ...] = (),
    memory_gb: float = 1.0,
) -> ItemModelParameters:  # fmt: skip
    """Numbers of neighbours, and regularisations of the linear and the next-item model, that are tried."""
    settings = {
        "neighbours": NeighbourSettings(counts, (0.0,), (), 1.0, 0.0),
        "linear_items": LinearItemSettings(linear, 0.0, 50, 50),
        "next_items": NextItemSettings(following, 0.5, 5, 0.0, 50, 50),
    }
    return ItemModelParameters(100, memory_gb, settings)


Shopper = tuple[str, list[Entry], list[str]]


def _rebuyers(count: int) -> list[Shopper]:
    """Shoppers of two tastes with ten items each, who buy again what they bought last."""
    rng = np.random.default_rng(3)
    shoppers: list[Shopper] = []
    for n in range(count):
        taste = [f"{'xy'[n % 2]}{i}" for i in range(10)]
        items = [str(item) for item in rng.choice(taste, 5, replace=False)]
        past = [(CLOCK - timedelta(days=10.0 * i + 1), item, "purchase", f"o{i}") for i, item in enumerate(items)]
        shoppers.append((f"u{n:03d}", past, items[:2]))
    return shoppers


def _cases(spark: SparkSession, shoppers: list[Shopper]) -> DataFrame:
    rows = [{"user_id": user, "history": history_rows(past), "truth": truth} for user, past, truth in shoppers]
    return local_frame(spark, CASES, rows)


def test_each_policy_gets_all_cases_in_a_task_of_its_own_in_the_order_of_shoppers(spark: SparkSession) -> None:
    frame = spark.range(0, 5000, 1, 7).select(F.format_string("u%05d", "id").alias("user_id"))

    def work(policy: str, batches: Any) -> tuple[int, list[Trial]]:
        users = [user for batch in batches for user in batch.column("user_id").to_pylist()]
        return len(users), [Trial({policy: float(users == sorted(users))}, 0.0)]

    found = collected(frame, work)
    assert found == {policy: (5000, [Trial({policy: 1.0}, 0.0)]) for policy in POLICIES}


def test_a_policy_that_nobody_can_be_judged_on_is_missing(spark: SparkSession) -> None:
    shoppers = _rebuyers(4)
    model = artifact([f"{t}{i}" for t in "xy" for i in range(10)], sparse_terms=sparse_options(_search()))
    found = blend_trials(_cases(spark, shoppers), model, clock=CLOCK, k=5, params=_search())
    assert set(found) == {"next_baskets"}
    count, trials = found["next_baskets"]
    assert count == 4
    assert trials[-1].ndcg == max(trial.ndcg for trial in trials)


def _searched(
    spark: SparkSession, shoppers: list[Shopper], record: Path, messages: list[str], **settings: Any
) -> SearchResult:
    """A search over shoppers whose items are interactions of strength 1; settings of item models begin with items_."""
    of_items = {name.removeprefix("items_"): value for name, value in settings.items() if name.startswith("items_")}
    others = {name: value for name, value in settings.items() if not name.startswith("items_")}
    pairs = [
        {"user_id": user, "item_id": item, "first_time": time, "strength": 1.0}
        for user, past, _ in shoppers
        for time, item, _, _ in past
    ]
    strengths = local_frame(spark, "user_id string, item_id string, first_time timestamp, strength double", pairs)
    windows = [f"shoppers_{days}d" for days in (7, 14, 30, 90, 365)]
    names = ", ".join(f"{name} double" for name in ("shoppers", "trend", *windows))
    items = sorted({row["item_id"] for row in pairs} | {item for _, _, truth in shoppers for item in truth})
    features = with_unknown_facts(local_frame(
        spark,
        f"item_id string, first_seen timestamp, {names}",
        [{"item_id": item, "first_seen": CLOCK - timedelta(days=200), "trend": 0.0, "shoppers": float(n % 3)}
         | dict.fromkeys(windows, 1.0) for n, item in enumerate(items)],
    ).toArrow())  # fmt: skip
    data = TrainingData(
        lambda half_life, at_least: strengths.where(F.col("strength") >= at_least),
        strengths.withColumnRenamed("first_time", "position"),
        features,
        CLOCK,
    )
    return searched(
        Judging(_cases(spark, shoppers), 5),
        data,
        target="purchase",
        event_weights={"purchase": 1.0, "refund": -1.0},
        settings=SearchSettings(_search(**others), _items(**of_items), _ranker()),
        factoriser=Factoriser(FactorisationParameters("native", 3, 1.0), 2, messages.append),
        record=record,
    )


def test_a_search_finds_that_newest_purchases_are_bought_again(spark: SparkSession, tmp_path: Path) -> None:
    messages: list[str] = []
    result = _searched(spark, _rebuyers(24), tmp_path / "search.json", messages)
    assert result.ndcg["next_baskets"] == pytest.approx(1.0)
    assert result.users == {"next_baskets": 24}
    # Nobody bought anything new: that task borrows the weights of the other.
    assert result.artifact.recipe.weights["new_items"] == result.artifact.recipe.weights["next_baskets"]
    assert set(result.artifact.recipe.sparse_terms) <= set(result.artifact.recipe.weights["next_baskets"])
    assert "own_frequency_30d" in result.artifact.recipe.sparse_terms
    assert messages


def _punctual(count: int) -> list[Shopper]:
    """Shoppers who had four items three times, the newest ten days ago, and buy what they buy every ten days."""
    shoppers: list[Shopper] = []
    for n in range(count):
        gaps = {f"i{(n + place) % 8}": gap for place, gap in enumerate((10, 2, 4, 30))}
        past = [
            (CLOCK - timedelta(days=10.0 + gap * time), item, "purchase", f"{item}{time}")
            for item, gap in gaps.items() for time in range(3)
        ]  # fmt: skip
        shoppers.append((f"u{n:03d}", past, [f"i{n % 8}"]))
    return shoppers


def test_a_ranker_finds_that_items_are_due_which_no_term_says(spark: SparkSession) -> None:
    terms = {"own_seen": NoConfiguration()}
    model = artifact([f"i{n}" for n in range(8)], sparse_terms=terms, weights=both(own_seen=1.0))
    found = searched_rankers(_cases(spark, _punctual(80)), model, clock=CLOCK, k=5, params=_ranker())
    assert found["new_items"] == ([], None, None, "")  # nobody buys anything new
    trials, chosen, ranker, problem = found["next_baskets"]
    assert problem == ""
    assert [trial.trees for trial in trials] == [40]
    assert trials[0].gain > 0.1
    assert chosen == trials[0]
    assert ranker is not None
    assert set(ranker.features) & {"own_due", "own_gap_days"}
    ordered = replace(model, recipe=replace(model.recipe, rankers={"next_baskets": ranker}))
    shoppers = {user: past for user, past, _ in _punctual(80)[40:48]}
    for n, items in enumerate(items_listed(ordered, dict(shoppers), length=1).values()):
        assert [entry["item_id"] for entry in items] == [f"i{n % 8}"]


@pytest.mark.parametrize("changes", [{"trees": ()}, {"min_shoppers": 81}])
def test_no_trees_are_tried_where_settings_say_so(spark: SparkSession, changes: dict[str, Any]) -> None:
    model = artifact([f"i{n}" for n in range(8)], weights=both())
    found = searched_rankers(_cases(spark, _punctual(80)), model, clock=CLOCK, k=5, params=_ranker(**changes))
    assert all(trials == [] and ranker is None for trials, _, ranker, _ in found.values())


def test_a_search_reports_the_gain_of_the_trees_that_it_chose(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = _searched(spark, _rebuyers(24), tmp_path / "without.json", [])
    few, many = RankerTrial(10, -0.25, 0.5), RankerTrial(50, -0.125, 0.5)
    ranker = Ranker(10, ("next_items",), (Tree((), (), (), (), (0.5,)),))
    found = {"next_baskets": RankerSearch([few, many], few, ranker, "")}
    monkeypatch.setattr(search, "searched_rankers", lambda *_, **__: found)
    messages: list[str] = []
    result = _searched(spark, _rebuyers(24), tmp_path / "with.json", messages, items_following=(1.0,))
    assert result.artifact.recipe.rankers == {"next_baskets": ranker}
    assert result.ndcg["next_baskets"] == pytest.approx(without.ndcg["next_baskets"] - 0.25)
    assert "next_baskets: 10 trees gain -0.2500 NDCG@5" in messages
    # What only the ranker reads is kept.
    assert "next_items" in result.artifact.item_weights


def test_a_library_that_cannot_be_loaded_is_a_problem_and_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lightgbm.py").write_text('raise OSError("libgomp.so.1: cannot open shared object file")\n')
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "lightgbm", raising=False)
    model = artifact(["a"], weights=both())
    found = searched_ranker(iter(()), model, policy="next_baskets", clock=CLOCK, k=5, params=_ranker())
    assert found == ([], None, None, "libgomp.so.1: cannot open shared object file")


def test_a_system_that_cannot_load_lightgbm_has_a_blend_and_is_told_why(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = "libgomp.so.1: cannot open shared object file"
    found = {"next_baskets": RankerSearch([], None, None, problem)}
    monkeypatch.setattr(search, "searched_rankers", lambda *_, **__: found)
    messages: list[str] = []
    result = _searched(spark, _rebuyers(24), tmp_path / "search.json", messages)
    assert result.artifact.recipe.rankers == {}
    assert f"next_baskets: no ranker, as LightGBM cannot be loaded: {problem}" in messages


def _followers(count: int) -> list[Shopper]:
    """Shoppers who take items of a ring one after the other: what comes next is the one after the newest."""
    shoppers: list[Shopper] = []
    for n in range(count):
        ring = [f"r{(n + step) % 12:02d}" for step in range(5)]
        past = [(CLOCK - timedelta(days=10.0 - i), item, "purchase", f"o{i}") for i, item in enumerate(ring[:4])]
        shoppers.append((f"u{n:03d}", past, ring[4:]))
    return shoppers


def test_a_search_finds_the_next_item_model_where_items_follow_each_other(spark: SparkSession, tmp_path: Path) -> None:
    result = _searched(
        spark, _followers(48), tmp_path / "search.json", [], items_following=(0.01,), items_linear=(1.0,),
        items_counts=(1, 3, 11),
    )  # fmt: skip
    recipe = result.artifact.recipe
    assert result.ndcg["new_items"] == pytest.approx(1.0)
    assert "next_items" in recipe.item_models
    assert recipe.weights["new_items"]["next_items"] > 0
    used = {term for terms in recipe.weights.values() for term in terms}
    assert ("linear_items" in recipe.item_models) == ("linear_items" in used)
    assert set(result.artifact.item_weights) == used & {"neighbours", "linear_items", "next_items"}
    # Of one model with several values the one that alone ranks best, the first of equals.
    judged = {trial["count"]: trial["ndcg"] for trial in result.trials if trial["kind"] == "neighbours"}
    sums = {count: sum(ndcg.values()) for count, ndcg in judged.items()}  # type: ignore[attr-defined]
    assert set(sums) == {1, 3, 11}
    assert len(set(sums.values())) > 1
    assert recipe.item_models["neighbours"].count == max(sums, key=lambda count: sums[count])


def test_an_item_model_that_does_not_fit_is_left_out_and_reported(spark: SparkSession, tmp_path: Path) -> None:
    messages: list[str] = []
    result = _searched(
        spark, _followers(12), tmp_path / "search.json", messages, items_linear=(1.0,), items_memory_gb=1e-9
    )
    assert "linear_items" not in result.artifact.item_weights
    assert any("linear_items is left out" in text and "memory" in text for text in messages)


def test_item_models_know_the_items_of_most_shoppers_ties_by_id(spark: SparkSession) -> None:
    strengths = local_frame(
        spark, "user_id string, item_id string, strength double",
        [{"user_id": f"u{n}", "item_id": item, "strength": 3.0} for n in range(4) for item in "abcd"],
    )  # fmt: skip
    features = pa.table({"item_id": ["d", "c", "b", "a"], "shoppers": [9.0, 1.0, 5.0, 5.0]})
    data = TrainingData(lambda half_life, at_least: strengths, strengths, features, CLOCK)
    known = {}
    for most in (2, 4):
        configuration = LinearItemConfiguration(1.0, 50, 50, None)
        table = ITEM_MODELS["linear_items"].fit(configuration, data, FitLimits(most, 1.0, 1))
        known[most] = {item: len(weights) for item, weights in zip(*table.to_pydict().values(), strict=True)}
    assert known == {2: {"a": 1, "d": 1}, 4: dict.fromkeys("abcd", 3)}


def test_a_search_that_goes_on_from_its_record_ends_as_one_without_a_break(spark: SparkSession, tmp_path: Path) -> None:
    grid = {"trials": 4, "patience": 4, "ranks": (2, 3), "reg_params": (0.1, 1.0)}
    whole = _searched(spark, _rebuyers(12), tmp_path / "whole.json", [], **grid)
    known = json.loads((tmp_path / "whole.json").read_text())
    assert len(known) == 4
    assert len({tuple(sorted(setting.items())) for setting, _ in known}) == 4
    (tmp_path / "broken.json").write_text(json.dumps(known[:2]))
    messages: list[str] = []
    rest = _searched(spark, _rebuyers(12), tmp_path / "broken.json", messages, **grid)
    assert json.loads((tmp_path / "broken.json").read_text()) == known
    assert rest.artifact.recipe == whole.artifact.recipe
    # Two that were left to try, and the best again where it was among those that were known.
    assert sum(text.startswith("factors with") for text in messages) in (2, 3)


@pytest.mark.parametrize(
    "wrong",
    [{"ranks": ()}, {"rounds": 0}, {"max_iters": ()}, {"max_iters": (0,)}, {"ranks": (4, 4)}, {"trials": 0},
     {"own_half_lives_days": ()}, {"user_half_lives_days": (-1.0,)}, {"alphas": (-1.0,)}, {"reg_power": 3.0}],
)  # fmt: skip
def test_impossible_parameters_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"grid|must be"):
        _search(**wrong)


@pytest.mark.parametrize(
    "make",
    [lambda: NeighbourSettings((), (0.0,), (), 1.0, 0.0), lambda: NeighbourSettings((0,), (0.0,), (), 1.0, 0.0),
     lambda: NeighbourSettings((1,), (-1.0,), (), 1.0, 0.0), lambda: LinearItemSettings((), -1.0, 1, 1),
     lambda: LinearItemSettings((0.0,), 0.0, 1, 1), lambda: NextItemSettings((1.0,), 1.5, 1, 0.0, 1, 1),
     lambda: ItemModelParameters(0, 1.0, {}), lambda: ItemModelParameters(1, 0.0, {})],
)  # fmt: skip
def test_impossible_parameters_of_models_are_refused(make: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=r"must be|at least one"):
        make()


def test_own_terms_are_named_by_half_life_and_zero_means_no_decay() -> None:
    assert sparse_options(_search(own_half_lives_days=(0.0, 7.5))) == {
        "own_frequency_0d": HalfLife(None),
        "own_frequency_7.5d": HalfLife(7.5),
        "own_seen": NoConfiguration(),
    }
