"""Artifacts: put together from tables, saved whole or not at all, loaded as they were."""

import json
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from freshet.core.errors import StateError
from freshet.models.factors.parameters import AlsParameters
from freshet.models.items.linear_items import LinearItemConfiguration
from freshet.models.items.neighbours import NeighbourConfiguration
from freshet.models.items.next_items import NextItemParameters
from freshet.ranking.artifact import Artifact
from freshet.ranking.assembly import assembled
from freshet.ranking.new_items import with_new_items
from freshet.ranking.recipe import Recipe
from freshet.ranking.terms.own_items import HalfLife, NoConfiguration
from tests.artifacts import CLOCK, artifact, batch, listed, no_links, random_artifact, random_history, recipe
from tests.catalogues import with_unknown_facts


def _features(*items: str) -> pa.Table:
    count = len(items)
    columns = {"item_id": pa.array(items, pa.string()), "first_seen": pa.array([CLOCK] * count, pa.timestamp("us"))}
    popular = [f"shoppers_{days}d" for days in (7, 14, 30, 90, 365)]
    for name in ("trend", "shoppers", *popular):
        columns[name] = pa.array(range(count), pa.float64())
    return with_unknown_facts(pa.table(columns))


def test_a_saved_artifact_loads_as_it_was_and_gives_the_same_lists(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    saved = random_artifact(rng, items=15, rank=4)
    saved.save(tmp_path / "versions" / "1")
    loaded = Artifact.load(tmp_path / "versions" / "1")
    assert loaded.recipe == saved.recipe
    assert loaded.items.equals(saved.items)
    np.testing.assert_array_equal(loaded.factors, saved.factors)
    assert list(loaded.item_weights) == list(saved.item_weights) == ["neighbours", "linear_items", "next_items"]
    for model, weights in saved.item_weights.items():
        np.testing.assert_array_equal(loaded.item_weights[model].toarray(), weights.toarray())
    assert list(loaded.terms) == list(saved.terms)
    np.testing.assert_array_equal(loaded.terms["item_popular"], saved.terms["item_popular"])
    assert not loaded.factors.flags.writeable
    histories = batch({"u": random_history(rng, saved.items.to_pylist(), 20)})
    lists = [listed(histories, a, clock=CLOCK, length=5, policy="next_baskets") for a in (saved, loaded)]
    assert lists[0].equals(lists[1])


def test_arrays_that_are_the_same_in_another_artifact_are_shared_with_it(tmp_path: Path) -> None:
    first = random_artifact(np.random.default_rng(6), items=15, rank=4)
    first.save(tmp_path / "1.0")
    made = with_new_items(first, pa.array(["a new one"]), np.ones((1, 4), dtype=np.float32), no_links(1, first))
    made.save(tmp_path / "1.1", like=tmp_path / "1.0")
    shared = {file.name for file in (tmp_path / "1.1").iterdir() if file.samefile(tmp_path / "1.0" / file.name)}
    assert {"neighbours_data.npy", "linear_items_data.npy", "next_items_data.npy"} <= shared
    assert shared.isdisjoint({"factors.npy", "terms.npy", "items.arrow"})
    shutil.rmtree(tmp_path / "1.0")
    loaded = Artifact.load(tmp_path / "1.1")
    np.testing.assert_array_equal(loaded.factors, made.factors)
    for model, weights in made.item_weights.items():
        np.testing.assert_array_equal(loaded.item_weights[model].toarray(), weights.toarray())


@pytest.mark.parametrize("items", [0, 1, 3])
def test_an_artifact_without_factors_neighbours_and_terms_survives(tmp_path: Path, items: int) -> None:
    artifact([f"i{n}" for n in range(items)]).save(tmp_path / "1")
    loaded = Artifact.load(tmp_path / "1")
    assert loaded.factors.shape == (items, 0)
    assert loaded.item_weights == {}
    assert loaded.terms == {}
    assert len(loaded.items) == items


def test_a_save_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("freshet.ranking.artifact.np.save", full)
    with pytest.raises(OSError, match="no space"):
        artifact(["a"]).save(tmp_path / "1")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    artifact(["a"]).save(tmp_path / "1")
    artifact(["a", "b"]).save(tmp_path / "1")
    assert len(Artifact.load(tmp_path / "1").items) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["1"]


def test_a_save_that_comes_second_keeps_the_first_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    second = artifact(["a", "b"])
    write = Artifact._write

    def overtaken(self: Artifact, part: Path, like: Path | None) -> None:
        write(self, part, like)
        monkeypatch.setattr(Artifact, "_write", write)
        artifact(["a"]).save(tmp_path / "1")

    # The other process saves between this one's writing and its renaming.
    monkeypatch.setattr(Artifact, "_write", overtaken)
    second.save(tmp_path / "1")
    assert len(Artifact.load(tmp_path / "1").items) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["1"]


def test_a_missing_artifact_is_reported_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="freshet train"):
        Artifact.load(tmp_path / "gone")


def test_a_recipe_survives_its_text() -> None:
    full = random_artifact(np.random.default_rng(0), items=2, rank=2).recipe
    assert Recipe.from_json(full.to_json()) == full
    assert Recipe.from_json(recipe().to_json()) == recipe()


def test_an_artifact_aligns_vectors_and_neighbours_with_the_items_in_rising_order() -> None:
    factors = pa.table({"item_id": ["c", "a", "elsewhere"], "factors": [[3.0, 3.5], [1.0, 1.5], [9.0, 9.5]]})
    near = pa.table(
        {
            "item_id": ["a", "elsewhere"],
            "neighbours": [
                [{"item_id": "c", "weight": 0.7}, {"item_id": "elsewhere", "weight": 0.6}],
                [{"item_id": "a", "weight": 0.5}],
            ],
        }
    )
    weights = {"linear_items": near}
    model = assembled(recipe(), features=_features("c", "b", "a"), factors=factors, item_weights=weights, as_of=CLOCK)
    assert model.items.to_pylist() == ["a", "b", "c"]
    assert model.factors.tolist() == [[1.0, 1.5], [0.0, 0.0], [3.0, 3.5]]
    expected = np.zeros((3, 3), dtype=np.float32)
    expected[2, 0] = 0.7  # having c speaks for a
    np.testing.assert_array_equal(model.item_weights["linear_items"].toarray(), expected)
    # item c came first in the table, with the lowest figures: terms follow their items
    assert model.terms["item_popular_all"][2] < model.terms["item_popular_all"][0]


def test_an_artifact_without_rows_of_factors_and_item_models_has_none() -> None:
    empty = pa.table({"item_id": pa.array([], pa.string())})
    for factors in (None, empty):
        model = assembled(
            recipe(), features=_features("a", "b"), factors=factors, item_weights={"neighbours": empty}, as_of=CLOCK
        )
        assert model.factors.shape == (2, 0)
        assert model.item_weights["neighbours"].nnz == 0


OLD_RECIPE = {
    "als": {"alpha": 10.0, "max_iter": 4, "rank": 2, "reg_param": 0.3, "reg_power": 1.0, "seed": 7, "start": 1.0},
    "event_weights": {"purchase": 1.0, "refund": -1.0},
    "item_half_life_days": 30.0,
    "item_min_strength": 0.25,
    "linear_half_life_days": None,
    "linear_items": {"count": 200, "dense_items": 5000, "reg_param": 300.0},
    "neighbour_half_life_days": 60.0,
    "neighbours": 50,
    "next_items": {
        "co_occurrence": 0.3, "count": 200, "decay": 0.8, "dense_items": 5000, "reg_param": 1000.0, "steps": 20
    },
    "own_half_lives": {"own_frequency_180d": 180.0, "own_seen": None},
    "target": "purchase",
    "user_half_life_days": 180.0,
    "user_min_strength": 0.0,
    "weights": {"new_items": {"factors": 1.0}, "next_baskets": {"neighbours": 0.5, "own_frequency_180d": 2.0}},
}  # fmt: skip
"""As version 0.1.0 wrote it."""


def test_a_folder_with_a_recipe_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    artifact(["a", "b"], neighbours=[[0, 1], [0, 0]]).save(tmp_path / "1")
    (tmp_path / "1" / "recipe.json").write_text(json.dumps(OLD_RECIPE))
    loaded = Artifact.load(tmp_path / "1")
    assert loaded.recipe.item_models == {
        "neighbours": NeighbourConfiguration(50, 1.4, 10.0, 60.0),
        "linear_items": LinearItemConfiguration(300.0, 200, 5000, None),
        "next_items": NextItemParameters(0.8, 20, 1000.0, 0.3, 200, 5000),
    }
    assert loaded.recipe.sparse_terms == {"own_frequency_180d": HalfLife(180.0), "own_seen": NoConfiguration()}
    assert loaded.recipe.als == AlsParameters(2, 4, 0.3, 10.0, 7)
    assert loaded.recipe.weights == OLD_RECIPE["weights"]
    assert list(loaded.item_weights) == ["neighbours"]
    assert Recipe.from_json(loaded.recipe.to_json()) == loaded.recipe


def test_a_recipe_without_item_models_and_of_before_there_were_two_of_them_is_read() -> None:
    old = {name: value for name, value in OLD_RECIPE.items() if "linear" not in name and name != "next_items"}
    plain = Recipe.from_values({**old, "neighbours": 0, "neighbour_half_life_days": None, "weights": {}})
    assert plain.item_models == {}


@pytest.mark.parametrize(
    "wrong",
    [{"item_models": {"neighbors": {}}}, {"sparse_terms": {"own_frequenzy_30d": {"half_life_days": 1.0}}},
     {"weights": {"new_items": {"item_populer_30d": 1.0}}}, {"sparse_terms": {"item_trend": {}}},
     {"item_models": {"neighbours": {"counts": 5}}}],
)  # fmt: skip
def test_a_recipe_that_names_what_there_is_not_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(StateError, match=r"there is no|cannot be read"):
        Recipe.from_values({**recipe().to_values(), **wrong})


def test_an_artifact_with_an_item_vector_that_there_is_not_is_refused(tmp_path: Path) -> None:
    artifact(["a", "b"], terms={"item_populer": [1.0, 2.0]}).save(tmp_path / "1")
    with pytest.raises(StateError, match="item_populer: there is no term of this name"):
        Artifact.load(tmp_path / "1")


def test_a_catalogue_without_items_makes_an_artifact_without_items() -> None:
    model = assembled(recipe(), features=_features(), factors=None, item_weights={}, as_of=datetime(2020, 1, 1))
    assert len(model.items) == 0
    assert model.terms == {}
