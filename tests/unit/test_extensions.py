"""An item model and terms from a module that Freshet does not know: searched, weighed, served, explained, described."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from freshet.contracts.shoppers import HISTORY
from freshet.models.factors.als import Factoriser
from freshet.models.factors.parameters import FactorisationParameters
from freshet.models.items.item_model import TrainingData
from freshet.ranking.artifact import Artifact
from freshet.ranking.extensions import extended, loaded_extensions
from freshet.ranking.lists.shopper_lists import recommended, recommended_in_process
from freshet.report import words
from freshet.runs.settings import Settings, load_settings
from freshet.tuning.search import Judging, SearchResult, SearchSettings, searched
from tests.artifacts import CLOCK, batch, history_rows, packed
from tests.catalogues import with_unknown_facts
from tests.factories import local_frame
from tests.oracles_recommendation import Entry

TOYS = "tests.toys"
Shopper = tuple[str, list[Entry], list[str]]


def _settings() -> Settings:
    """Of the tests, with the module named and its own section filled."""
    return load_settings("test", (
        f'extensions.modules=["{TOYS}"]', "item_models.mirror.shifts=[0, 1]", "search.ranks=[2]",
        "search.candidates_per_term=20", "search.min_validation_users=1",
    ))  # fmt: skip


def _shoppers() -> list[Shopper]:
    """Who has a12 takes b12 next, as nobody did before, the own item at an even place again, and what begins with z."""
    shoppers: list[Shopper] = []
    for n in range(40):
        # a00 to a11 are places 0 to 11 of the catalogue.
        bought = [f"a{n % 6 * 2:02d}", f"a{(n * 5 + 1) % 6 * 2 + 1:02d}"]
        past = [(CLOCK - timedelta(days=5.0 + (n + i) % 2), item, "purchase", f"o{i}") for i, item in enumerate(bought)]
        shoppers.append((f"u{n:02d}", past, [bought[0], f"b{bought[0][1:]}", f"b{bought[1][1:]}", "z00"]))
    return shoppers


@pytest.fixture(scope="module")
def result(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SearchResult]:
    with extended():
        settings, shoppers = _settings(), _shoppers()
        rows = [{"user_id": user, "history": history_rows(past), "truth": truth} for user, past, truth in shoppers]
        cases = local_frame(spark, f"user_id string, history {HISTORY.simpleString()}, truth array<string>", rows)
        pairs = [
            {"user_id": user, "item_id": item, "first_time": time, "strength": 1.0}
            for user, past, _ in shoppers
            for time, item, _, _ in past
        ]
        strengths = local_frame(spark, "user_id string, item_id string, first_time timestamp, strength double", pairs)
        items = [f"{letter}{n:02d}" for letter in "abz" for n in range(12 if letter < "z" else 1)]
        windows = [f"shoppers_{days}d" for days in (7, 14, 30, 90, 365)]
        features = with_unknown_facts(pa.table({
            "item_id": items, "first_seen": pa.array([CLOCK - timedelta(days=200)] * len(items), pa.timestamp("us")),
            **{name: pa.array([1.0] * len(items)) for name in ("trend", "shoppers", *windows)},
        }))  # fmt: skip
        data = TrainingData(
            lambda half_life, at_least: strengths.where(F.col("strength") >= at_least),
            strengths.withColumnRenamed("first_time", "position"), features, CLOCK,
        )  # fmt: skip
        yield searched(
            Judging(cases, 5), data, target="purchase", event_weights={"purchase": 1.0},
            settings=SearchSettings(settings.search, settings.item_models, settings.ranker),
            record=tmp_path_factory.mktemp("search") / "search.json",
            factoriser=Factoriser(FactorisationParameters("native", 3, 1.0), 2, print),
        )  # fmt: skip


def test_a_model_and_terms_of_another_module_are_searched_and_weighed(result: SearchResult) -> None:
    weights = result.artifact.recipe.weights
    assert {name for name, weight in weights["next_baskets"].items() if weight > 0} >= {"mirror", "even", "last_letter"}
    assert {name for name, weight in weights["new_items"].items() if weight > 0} >= {"mirror", "last_letter"}
    assert "even" not in weights["new_items"]
    assert result.ndcg == {"next_baskets": pytest.approx(1.0), "new_items": pytest.approx(1.0)}
    # Of two values the one that alone ranks best.
    judged = {trial["shift"]: trial["ndcg"] for trial in result.trials if trial["kind"] == "mirror"}
    assert set(judged) == {0, 1}
    assert result.artifact.recipe.to_values()["item_models"]["mirror"] == {"shift": 0}
    assert result.artifact.recipe.extensions == (TOYS,)


def test_they_are_served_and_explained_by_batch_and_stream_alike(
    result: SearchResult, spark: SparkSession, tmp_path: Path
) -> None:
    result.artifact.save(tmp_path / "1")
    shoppers = {user: past for user, past, _ in _shoppers()[:3]}
    how: dict[str, Any] = {"artifact": tmp_path / "1", "clock": CLOCK, "length": 4, "policy": "next_baskets"}
    rows = [{"user_id": user, "history": history_rows(past)} for user, past in shoppers.items()]
    of_batch = recommended(local_frame(spark, f"user_id string, history {HISTORY.simpleString()}", rows), **how)
    at_hand = batch(dict(shoppers))
    users = pa.Table.from_batches([at_hand.select(["user_id"])])
    of_stream = recommended_in_process(users, packed(at_hand.column("history")), threads=1, **how)
    for made in (of_batch.toArrow(), of_stream):
        lists = {row["user_id"]: row["items"] for row in made.to_pylist()}
        for user, _, truth in _shoppers()[:3]:
            reasons = {entry["item_id"]: entry["reason"] for entry in lists[user]}
            own, *images, last = truth
            assert reasons == {
                own: "is_even", last: "last_letter", **{image: f"similar_to:a{image[1:]}" for image in images}
            }  # fmt: skip


def test_they_are_described(result: SearchResult) -> None:
    assert words.term("mirror") == "Mirror images"
    assert words.term("even") == "Own items at even places"
    assert words.reason("is_even") == "has an even place"
    assert words.reason("last_letter") == "begins with z"


def test_a_saved_model_brings_its_modules_along(result: SearchResult, tmp_path: Path) -> None:
    result.artifact.save(tmp_path / "1")
    before = loaded_extensions()
    assert TOYS in before
    with extended():
        loaded = Artifact.load(tmp_path / "1")
        assert loaded.recipe == result.artifact.recipe
        assert list(loaded.item_weights) == list(result.artifact.item_weights)
