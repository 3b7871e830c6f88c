"""Artifacts: put together from tables, saved whole or not at all, loaded as they were."""

import json
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from freshet.core.errors import StateError
from freshet.ranking.artifact import Artifact
from freshet.ranking.assembly import assembled
from freshet.ranking.recipe import Recipe
from tests.artifacts import CLOCK, artifact, batch, listed, random_artifact, random_history, recipe


def _features(*items: str) -> pa.Table:
    count = len(items)
    columns = {"item_id": pa.array(items, pa.string()), "first_seen": pa.array([CLOCK] * count, pa.timestamp("us"))}
    popular = [f"shoppers_{days}d" for days in (7, 14, 30, 90, 365)]
    for name in ("trend", "shoppers", *popular):
        columns[name] = pa.array(range(count), pa.float64())
    return pa.table(columns)


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

    def overtaken(self: Artifact, part: Path) -> None:
        write(self, part)
        monkeypatch.setattr(Artifact, "_write", write)
        artifact(["a"]).save(tmp_path / "1")

    # The other process saves between this one's writing and its renaming.
    monkeypatch.setattr(Artifact, "_write", overtaken)
    second.save(tmp_path / "1")
    assert len(Artifact.load(tmp_path / "1").items) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["1"]


def test_a_missing_artifact_is_told_with_what_to_do(tmp_path: Path) -> None:
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


def test_a_folder_of_before_the_linear_and_the_next_item_model_is_read(tmp_path: Path) -> None:
    artifact(["a", "b"], neighbours=[[0, 1], [0, 0]]).save(tmp_path / "1")
    text = json.loads((tmp_path / "1" / "recipe.json").read_text())
    for name in ("linear_items", "linear_half_life_days", "next_items"):
        del text[name]
    (tmp_path / "1" / "recipe.json").write_text(json.dumps(text))
    loaded = Artifact.load(tmp_path / "1")
    assert loaded.recipe == recipe()
    assert list(loaded.item_weights) == ["neighbours"]


def test_a_catalogue_without_items_makes_an_artifact_without_items() -> None:
    model = assembled(recipe(), features=_features(), factors=None, item_weights={}, as_of=datetime(2020, 1, 1))
    assert len(model.items) == 0
    assert model.terms == {}
