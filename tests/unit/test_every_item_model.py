"""What every item model must do: those that Freshet has, and one of another module. A new one runs through it too."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from freshet.models.items.item_model import ITEMS as SOURCE_ITEMS
from freshet.models.items.item_model import FitLimits, ItemModel, TrainingData
from freshet.models.items.registry import ITEM_MODELS
from freshet.ranking.artifact import Artifact
from freshet.ranking.assembly import assembled
from freshet.ranking.extensions import extended
from freshet.ranking.histories.history_block import HistoryBlock, packed_block, read_block
from freshet.ranking.scoring import model_inputs
from freshet.runs.settings import load_settings
from tests import toys
from tests.artifacts import CLOCK, batch, both, bought, histories, listed, packed, recipe
from tests.catalogues import features
from tests.factories import local_frame

NAMES = [*ITEM_MODELS.names, *(model.name for model in toys.ITEM_MODELS)]
ITEMS = ["a00", "a01", "b00", "b01"]

# Who has which items, two a day.
CASES: dict[str, list[Sequence[str]]] = {
    "nothing": [],
    "one shopper": [ITEMS],
    "one item": [["a00"], ["a00"], ["a00"]],
    "all equal": [ITEMS, ITEMS, ITEMS],
    "several": [["a00", "b00"], ["a00", "b00", "b01"], ["a01", "b01"], ["b01", "a00"]],
}


@pytest.fixture(autouse=True, scope="module")
def _toys() -> Iterator[None]:
    with extended("tests.toys"):
        yield


@cache
def _options(name: str) -> list[Any]:
    return load_settings("test", ("item_models.mirror.shifts=[0]",)).item_models.options()[name]


def _data(spark: SparkSession, shoppers: list[Sequence[str]]) -> TrainingData:
    rows = [
        {
            "user_id": f"u{n}", "item_id": item, "strength": 1.0,
            "first_time": CLOCK - timedelta(days=9 - place // 2, minutes=9 - place),
        }
        for n, items in enumerate(shoppers)
        for place, item in enumerate(items)
    ]  # fmt: skip
    strengths = local_frame(spark, "user_id string, item_id string, first_time timestamp, strength double", rows)
    known = sorted({item for items in shoppers for item in items})
    sequences = strengths.withColumnRenamed("first_time", "position").drop("strength")
    return TrainingData(lambda half_life, at_least: strengths, sequences, features(known), CLOCK)


def _fitted(spark: SparkSession, name: str, case: str) -> pa.Table:
    return ITEM_MODELS[name].fit(_options(name)[0], _data(spark, CASES[case]), FitLimits(100, 1.0, 1))


def _artifact(name: str, table: pa.Table, items: Sequence[str] = ITEMS) -> Artifact:
    chosen = recipe(item_models={name: _options(name)[0]}, weights=both(**{name: 1.0}))
    chosen = replace(chosen, extensions=("tests.toys",))
    return assembled(chosen, features=features(items), factors=None, item_weights={name: table}, as_of=CLOCK)


def _blocks(model: Artifact, *shoppers: Any) -> tuple[HistoryBlock, HistoryBlock]:
    """The same histories as a batch and as the stream reads them."""
    column, how = histories(*shoppers), {"items": model.items, "event_names": model.recipe.event_names, "clock": CLOCK}
    return read_block(column, **how), packed_block(packed(column), **how)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("case", CASES)
def test_a_fit_gives_finite_weights_of_known_sources_for_known_items(spark: SparkSession, name: str, case: str) -> None:
    found = _fitted(spark, name, case)
    assert found.column_names == ["item_id", "neighbours"]
    assert found.schema.field("item_id").type == pa.string()
    known, is_by_item = {item for items in CASES[case] for item in items}, ITEM_MODELS[name].sources == SOURCE_ITEMS
    assert set(found.column("item_id").to_pylist()) <= known
    for row in found.to_pylist():
        for entry in row["neighbours"]:
            assert np.isfinite(entry["weight"])
            if is_by_item:
                assert entry["item_id"] in known - {row["item_id"]}
            else:
                assert int(entry["item_id"]) in range(len(CASES[case]))
    if is_by_item and len(known) < 2:
        assert found.num_rows == 0


@pytest.mark.parametrize("name", NAMES)
def test_a_fitted_model_is_saved_loaded_and_served_by_batch_and_stream_alike(
    spark: SparkSession, tmp_path: Path, name: str
) -> None:
    table = _fitted(spark, name, "several")
    assert table.equals(_fitted(spark, name, "several"))
    saved = _artifact(name, table)
    assert saved.item_weights[name].nnz > 0
    saved.save(tmp_path / "1")
    loaded = Artifact.load(tmp_path / "1")
    assert loaded.recipe == saved.recipe
    np.testing.assert_array_equal(loaded.item_weights[name].toarray(), saved.item_weights[name].toarray())
    shoppers = {"u": [bought("a00", 3), bought("b01", 1)], "one": [bought("a01")], "unknown": [bought("gone")]}
    lists = [listed(batch(shoppers), each, clock=CLOCK, length=3, policy="new_items") for each in (saved, loaded)]
    assert lists[0].equals(lists[1])
    block, of_stream = _blocks(loaded, *shoppers.values())
    found, again = (model_inputs(name, each, loaded) for each in (block, of_stream))
    assert found.dtype == np.float32
    assert found.shape == (3, saved.item_weights[name].shape[0])
    assert (found.data > 0).all()
    np.testing.assert_array_equal(found.toarray(), again.toarray())
    assert found[2].nnz == 0


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("items", [[], ["a00"], ITEMS])
def test_a_model_without_weights_and_histories_without_entries_are_read(name: str, items: list[str]) -> None:
    nothing = pa.table({"item_id": pa.array([], pa.string()), "neighbours": pa.array([], toys.WEIGHTS)})
    model = _artifact(name, nothing, items)
    for block in _blocks(model, [], None, [bought("a00")]):
        assert model_inputs(name, block, model).shape == (3, model.item_weights[name].shape[0])
    found = listed(batch({"u": [bought("a00")]}), model, clock=CLOCK, length=2, policy="next_baskets")
    assert len(found.to_pylist()[0]["items"]) == min(2, len(items))


@pytest.mark.parametrize("name", NAMES)
def test_a_configuration_survives_its_json_and_is_described(name: str) -> None:
    model = ITEM_MODELS[name]
    assert isinstance(model, ItemModel)
    assert model.description
    for option in _options(name):
        assert isinstance(option, model.configuration)
        assert model.from_json(json.loads(json.dumps(model.to_json(option)))) == option
        assert json.loads(json.dumps(model.describe(option)))
        assert all(days is None or days > 0 for days in model.half_lives(option))
