"""Item terms: standardised values in the features' order."""

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from freshet.ranking.terms.reason import POPULAR_NOW
from freshet.ranking.terms.registry import TERMS, item_vectors
from freshet.ranking.terms.term import ItemVector
from tests.artifacts import CLOCK

WINDOWS = ("7d", "14d", "30d", "90d", "365d")


def _features(rows: list[dict[str, Any]]) -> pa.Table:
    full = [
        {"shoppers": 0, "trend": 0.0, "first_seen": CLOCK - timedelta(days=500)}
        | {f"shoppers_{window}": 0 for window in WINDOWS}
        | row
        for row in rows
    ]
    schema = pa.schema(
        [("shoppers", pa.int64()), ("trend", pa.float64()), ("first_seen", pa.timestamp("us", tz="UTC"))]
        + [(f"shoppers_{window}", pa.int64()) for window in WINDOWS]
    )
    return pa.Table.from_pylist(full, schema=schema)


def _vectors(features: pa.Table, **weights: float) -> dict[str, np.ndarray]:
    return item_vectors(features, as_of=CLOCK, weights={"new_items": weights})


def test_popularity_is_the_square_root_of_shoppers_standardised_over_the_items() -> None:
    terms = _vectors(_features([{"shoppers_30d": count} for count in (0, 4, 16)]))
    assert list(terms) == ["item_popular_30d"]
    roots = np.array([0.0, 2.0, 4.0])
    np.testing.assert_allclose(terms["item_popular_30d"], (roots - 2.0) / np.sqrt(8 / 3), rtol=1e-6)
    assert terms["item_popular_30d"].dtype == np.float32


def test_each_window_and_the_whole_time_have_a_term_of_their_own() -> None:
    rows = [{"shoppers": 9, "shoppers_7d": 1}, {"shoppers": 1, "shoppers_365d": 4}]
    terms = _vectors(_features(rows))
    signs = {name: np.sign(values).tolist() for name, values in terms.items()}
    assert signs == {"item_popular_7d": [1, -1], "item_popular_365d": [-1, 1], "item_popular_all": [1, -1]}


@pytest.mark.parametrize(("age", "new"), [(60, True), (60.001, False)])
def test_new_is_first_seen_within_so_many_days(age: float, new: bool) -> None:
    rows = [{"first_seen": CLOCK - timedelta(days=age)}, {}, {}]
    terms = _vectors(_features(rows))
    assert ("item_new_60d" in terms) == new
    assert terms["item_new_120d"][0] > terms["item_new_120d"][1]


def test_a_missing_trend_is_taken_as_none() -> None:
    terms = _vectors(_features([{"trend": None}, {"trend": 1.0}, {"trend": -1.0}]))
    np.testing.assert_allclose(terms["item_trend"][0], 0.0, atol=1e-7)


@pytest.mark.parametrize("rows", [[], [{"shoppers": 5}], [{"shoppers": 5}, {"shoppers": 5}]])
def test_what_is_the_same_for_all_items_is_no_term(rows: list[dict[str, Any]]) -> None:
    assert _vectors(_features(rows)) == {}


class _Place(ItemVector):
    """A term that no search weighs, with values as they are."""

    name = "toy_place"
    reason = POPULAR_NOW
    policies = ()
    is_standardised = False

    def describe(self, member: str) -> str:
        return "Place"

    def vectors(self, features: pa.Table, *, as_of: datetime) -> dict[str, np.ndarray]:
        places = np.arange(features.num_rows, dtype=np.float64)
        return {"toy_place_up": places, "toy_place_down": -places, "toy_place_flat": 0.0 * places}


def test_of_a_term_that_no_search_weighs_only_what_the_recipe_weighs_is_kept_as_it_is() -> None:
    term = _Place()
    TERMS.add(term)
    try:
        assert _vectors(_features([{}, {}])) == {}
        found = _vectors(_features([{}, {}]), toy_place_down=0.5, toy_place_flat=-1.0)
    finally:
        TERMS.remove(term)
    assert {name: values.tolist() for name, values in found.items()} == {
        "toy_place_down": [0.0, -1.0],
        "toy_place_flat": [0.0, 0.0],
    }
