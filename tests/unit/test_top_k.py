"""Exact top-k against a full sort."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from freshet.numeric.top_k import top_k
from tests.oracles_recommendation import best_columns


def _agrees(scores: NDArray[np.floating[Any]], k: int) -> None:
    columns, values = top_k(scores, k)
    for n, row in enumerate(scores):
        expected = best_columns([float(value) for value in row], k)
        assert columns[n].tolist() == [column for column, _ in expected]
        assert values[n].tolist() == [value for _, value in expected]


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.sampled_from([1, 3, 16, 17, 33]),
    columns=st.integers(1, 400),
    k=st.integers(1, 30),
    levels=st.sampled_from([1, 2, 5, 50, 10**6]),
    forbidden=st.sampled_from([0.0, 0.3, 0.97, 1.0]),
    precision=st.sampled_from([np.float32, np.float64]),
)
def test_top_k_of_any_scores_equals_a_full_sort(
    seed: int, rows: int, columns: int, k: int, levels: int, forbidden: float, precision: type[np.floating[Any]]
) -> None:
    rng = np.random.default_rng(seed)
    scores = (rng.integers(0, levels, (rows, columns)) - levels // 2).astype(precision)
    scores[rng.random((rows, columns)) < forbidden] = -np.inf
    _agrees(scores, k)


@pytest.mark.parametrize("columns", [159, 160, 161, 191, 192, 193, 1000])
@pytest.mark.parametrize("k", [1, 2, 3])
def test_top_k_at_the_edges_of_strips_equals_a_full_sort(columns: int, k: int) -> None:
    strips = columns // 32
    first = sorted({0, 1, strips - 1, strips, 31, 32, columns // 2, columns - 33, columns - 2, columns - 1})
    scores = np.zeros((len(first), columns), dtype=np.float32)
    # The best score stands at an edge, its equal a strip's number behind it, and all else ties.
    scores[np.arange(len(first)), first] = 1.0
    scores[np.arange(len(first)), (np.array(first) + strips) % columns] = 1.0
    _agrees(scores, k)


def test_ties_within_and_across_strips_go_to_the_lower_column() -> None:
    scores = np.zeros((2, 4096), dtype=np.float32)
    scores[0, [4095, 128, 127, 4]] = 1.0
    scores[1, 100:] = 2.0
    assert top_k(scores, 3)[0].tolist() == [[4, 127, 128], [100, 101, 102]]


def test_k_beyond_the_columns_gives_all_columns() -> None:
    columns, values = top_k(np.array([[1.0, 3.0, 2.0]], dtype=np.float32), 20)
    assert columns.tolist() == [[1, 2, 0]]
    assert values.tolist() == [[3.0, 2.0, 1.0]]


def test_minus_infinity_comes_last_in_column_order() -> None:
    scores = np.full((1, 5000), -np.inf, dtype=np.float32)
    scores[0, 4000] = -5.0
    assert top_k(scores, 3)[0].tolist() == [[4000, 0, 1]]


@pytest.mark.parametrize("shape", [(0, 5), (3, 0), (0, 5000)])
def test_no_rows_or_no_columns_give_an_empty_result(shape: tuple[int, int]) -> None:
    columns, values = top_k(np.zeros(shape, dtype=np.float32), 4)
    assert columns.shape == values.shape == (shape[0], min(4, shape[1]))


def test_k_zero_gives_no_columns() -> None:
    assert top_k(np.zeros((2, 5000), dtype=np.float32), 0)[0].shape == (2, 0)


@pytest.mark.parametrize(("columns", "place"), [(10, 3), (5000, 2), (5000, 4999)])
def test_a_score_that_is_not_a_number_is_refused(columns: int, place: int) -> None:
    scores = np.zeros((2, columns), dtype=np.float32)
    scores[1, place] = np.nan
    with pytest.raises(ValueError, match="not a number"):
        top_k(scores, 3)
