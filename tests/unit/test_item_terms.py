"""Item terms: standardised values in the features' order."""

from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from freshet.ranking.terms.registry import item_vectors as item_terms
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


def test_popularity_is_the_square_root_of_shoppers_standardised_over_the_items() -> None:
    terms = item_terms(_features([{"shoppers_30d": count} for count in (0, 4, 16)]), as_of=CLOCK)
    assert list(terms) == ["item_popular_30d"]
    roots = np.array([0.0, 2.0, 4.0])
    np.testing.assert_allclose(terms["item_popular_30d"], (roots - 2.0) / np.sqrt(8 / 3), rtol=1e-6)
    assert terms["item_popular_30d"].dtype == np.float32


def test_each_window_and_the_whole_time_have_a_term_of_their_own() -> None:
    rows = [{"shoppers": 9, "shoppers_7d": 1}, {"shoppers": 1, "shoppers_365d": 4}]
    terms = item_terms(_features(rows), as_of=CLOCK)
    signs = {name: np.sign(values).tolist() for name, values in terms.items()}
    assert signs == {"item_popular_7d": [1, -1], "item_popular_365d": [-1, 1], "item_popular_all": [1, -1]}


@pytest.mark.parametrize(("age", "new"), [(60, True), (60.001, False)])
def test_new_is_first_seen_within_so_many_days(age: float, new: bool) -> None:
    rows = [{"first_seen": CLOCK - timedelta(days=age)}, {}, {}]
    terms = item_terms(_features(rows), as_of=CLOCK)
    assert ("item_new_60d" in terms) == new
    assert terms["item_new_120d"][0] > terms["item_new_120d"][1]


def test_a_missing_trend_is_taken_as_none() -> None:
    terms = item_terms(_features([{"trend": None}, {"trend": 1.0}, {"trend": -1.0}]), as_of=CLOCK)
    np.testing.assert_allclose(terms["item_trend"][0], 0.0, atol=1e-7)


@pytest.mark.parametrize("rows", [[], [{"shoppers": 5}], [{"shoppers": 5}, {"shoppers": 5}]])
def test_what_is_the_same_for_all_items_is_no_term(rows: list[dict[str, Any]]) -> None:
    assert item_terms(_features(rows), as_of=CLOCK) == {}
