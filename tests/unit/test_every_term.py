"""What every term of the blend must do: those that Freshet has, and two of a module. A new one runs through it too."""

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from freshet.contracts.policies import POLICIES
from freshet.models.factors.parameters import AlsParameters
from freshet.models.items.registry import ITEM_MODELS
from freshet.ranking.artifact import Artifact
from freshet.ranking.extensions import extended
from freshet.ranking.histories.history_block import packed_block, read_block
from freshet.ranking.new_items import with_new_items
from freshet.ranking.scoring import factor_rows, sparse_terms
from freshet.ranking.terms.reason import POPULAR_NOW
from freshet.ranking.terms.registry import (
    FACTORS,
    all_reasons,
    item_vectors,
    sparse_options,
    sparse_term,
    term_of,
    weighed,
)
from freshet.report import words
from freshet.runs.settings import Settings, load_settings
from tests.artifacts import CLOCK, all_scores, batch, both, bought, histories, listed, no_links, packed, random_artifact
from tests.catalogues import features

WARM = {
    "u": [bought("i0000", 3), bought("i0002", 1), bought("i0002", 9)],
    "one": [bought("i0001", 200)],
    "often": [bought("i0003", days) for days in range(1, 6)],
}
COLD: dict[str, Any] = {"empty": [], "null": None, "unknown": [bought("gone")]}
EQUAL = {f"u{n}": [bought("i0001", 5)] for n in range(3)}


@pytest.fixture(autouse=True, scope="module")
def _toys() -> Iterator[None]:
    with extended("tests.toys"):
        yield


@cache
def _settings() -> Settings:
    return load_settings("test", ("item_models.mirror.shifts=[0]",))


def _models() -> dict[str, list[Any]]:
    """The configurations of every item model."""
    return _settings().item_models.options()


def _names() -> list[str]:
    """Every term that an artifact may have, by the settings of the tests."""
    with extended("tests.toys"):
        of_items = item_vectors(features(["i0000", "z0000"]), as_of=CLOCK, weights={})
        return [FACTORS.name, *ITEM_MODELS.names, *sparse_options(_settings().search), *of_items]


NAMES = _names()


def _artifact(name: str, *, items: int, is_even: bool = False, weight: float = 1.0) -> Artifact:
    """All terms, of which one has a weight; the last item begins with z."""
    rng = np.random.default_rng(5)
    made = random_artifact(rng, items=items, rank=2)
    models = {name: made.recipe.item_models.get(name, options[0]) for name, options in _models().items()}
    chosen = replace(
        made.recipe, item_models=models, weights=both(**{name: weight}),
        sparse_terms=sparse_options(_settings().search),
        als=AlsParameters(2, 1, 0.1, 1.0, 1), extensions=("tests.toys",),
    )  # fmt: skip
    ids = made.items.to_pylist()[: items - 1] + ["z0000"] * min(1, items)
    return replace(
        made, recipe=chosen, items=pa.array(ids, pa.string()),
        item_weights={
            name: csr_matrix(rng.random((items, items), dtype=np.float32) * (1 - np.eye(items, dtype=np.float32)))
            for name in models
        },
        terms=item_vectors(features(ids, is_even=is_even), as_of=CLOCK, weights={}),
    )  # fmt: skip


def _block(model: Artifact, shoppers: dict[str, Any]) -> Any:
    how: Any = {"items": model.items, "event_names": model.recipe.event_names, "clock": CLOCK}
    return read_block(histories(*shoppers.values()), **how)


def _searched(name: str, model: Artifact, shoppers: dict[str, Any], policy: str) -> NDArray[np.float32] | None:
    """The term as a search of weights sees it, without its weight; None where it does not."""
    if name in model.terms:
        return np.tile(model.terms[name], (len(shoppers), 1)) if name in weighed([name], policy) else None
    block = _block(model, shoppers)
    if name == FACTORS.name:
        return factor_rows(block, model) @ model.factor_columns.T if weighed([name], policy) else None
    found = sparse_terms(block, model, policy).get(name)
    return None if found is None else found.toarray()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize(
    ("items", "shoppers"), [(5, WARM), (5, {"u": WARM["u"]}), (1, WARM), (5, EQUAL), (5, {}), (0, WARM)]
)
def test_a_search_weighs_what_is_served(name: str, policy: str, items: int, shoppers: Any) -> None:
    model = _artifact(name, items=items, weight=0.5)
    found = _searched(name, model, shoppers, policy)
    if policy not in term_of(name).policies:
        assert found is None
        return
    scores = all_scores(_block(model, shoppers), model, policy)
    assert scores.shape == (len(shoppers), items)
    # A shopper of whom nothing is known to this catalogue gets popularity instead.
    is_warm = [any(entry[1] in model.items.to_pylist() for entry in past) for past in shoppers.values()]
    can_be = np.isfinite(scores) & np.array(is_warm, dtype=bool)[:, None]
    expected = np.zeros(scores.shape, np.float32) if found is None else 0.5 * found
    assert np.isfinite(expected).all()
    np.testing.assert_allclose(scores[can_be], expected[can_be], atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_equal_items_and_equal_shoppers_have_equal_values(name: str) -> None:
    model = _artifact(name, items=5, is_even=True)
    model = replace(model, factors=np.ones_like(model.factors))
    scores = all_scores(_block(model, EQUAL), model, "next_baskets")
    assert np.isfinite(scores).all()
    np.testing.assert_array_equal(scores, np.tile(scores[0], (len(EQUAL), 1)))
    if name == FACTORS.name:
        np.testing.assert_allclose(scores, 0.0, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_a_saved_term_is_the_same_by_batch_and_stream(name: str, tmp_path: Path) -> None:
    saved = _artifact(name, items=7)
    saved.save(tmp_path / "1")
    loaded = Artifact.load(tmp_path / "1")
    shoppers = {**WARM, **COLD}
    column = histories(*shoppers.values())
    of_stream = packed_block(packed(column), items=loaded.items, event_names=loaded.recipe.event_names, clock=CLOCK)
    for policy in POLICIES:
        expected = all_scores(_block(saved, shoppers), saved, policy)
        np.testing.assert_array_equal(all_scores(_block(loaded, shoppers), loaded, policy), expected)
        np.testing.assert_array_equal(all_scores(of_stream, loaded, policy), expected)


@pytest.mark.parametrize("name", NAMES)
def test_a_term_gives_its_reason_for_what_it_lifts_and_its_description(name: str) -> None:
    model, term = _artifact(name, items=6), term_of(name)
    assert term.reason in all_reasons()
    assert words.term(name) == term.describe(name) != ""
    assert words.reason(term.reason.code) == term.reason.words
    scores = _searched(name, model, WARM, "next_baskets")
    assert scores is not None
    lists = listed(batch(WARM), model, clock=CLOCK, length=6, policy="next_baskets").to_pylist()
    mean = float(model.terms[name].mean()) if name in model.terms else 0.0
    # Any value above 0 of a sparse term counts; products of factors are rounded.
    rounding = 0.0 if name in model.recipe.sparse_terms else 1e-6
    lifted = 0
    for row, values in zip(lists, scores, strict=True):
        for entry in row["items"]:
            is_lifted = values[model.items.to_pylist().index(entry["item_id"])] > max(0.0, mean) + rounding
            lifted += is_lifted
            expected = term.reason if is_lifted else POPULAR_NOW
            assert entry["reason"].partition(":")[0] == expected.code, entry
    assert lifted


@pytest.mark.parametrize("name", NAMES)
def test_a_configuration_survives_its_json_and_an_item_vector_knows_new_items(name: str) -> None:
    model = _artifact(name, items=4)
    if name in model.recipe.sparse_terms:
        term, configuration = sparse_term(name), model.recipe.sparse_terms[name]
        assert term.from_json(json.loads(json.dumps(term.to_json(configuration)))) == configuration
    if name in model.terms:
        wider = with_new_items(model, pa.array(["new"]), np.zeros((1, 2), np.float32), no_links(1, model))
        value = wider.terms[name][wider.items.to_pylist().index("new")]
        assert model.terms[name].min() <= value <= model.terms[name].max()
