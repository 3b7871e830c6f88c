"""Sums over sparse rows, held against SciPy's."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix, random_array

from freshet.recommendation.row_kernels import add_rows, add_vector_and_shift, picked, product_scaled_to_one


def sparse(seed: int, rows: int, columns: int) -> csr_matrix:
    """Values between -1 and 1 at a third of the places, the columns of each row in any order; some rows are empty."""
    rng = np.random.default_rng(seed)
    made = csr_matrix(random_array((rows, columns), density=0.3, rng=rng, dtype=np.float32))
    made.data = (made.data * 2 - 1).astype(np.float32)
    for first, last in zip(made.indptr[:-1], made.indptr[1:], strict=True):
        mixed = rng.permutation(np.arange(first, last))
        made.indices[first:last], made.data[first:last] = made.indices[mixed].copy(), made.data[mixed].copy()
    made.has_sorted_indices = False
    return made


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_product_is_scipy_s_with_each_row_s_value_of_largest_size_made_1(seed: int) -> None:
    left, right = sparse(seed, 9, 6), sparse(seed + 10, 6, 14)
    expected = (left @ right).toarray()
    largest = np.abs(expected).max(axis=1, keepdims=True)
    assert (expected.max(axis=1) < largest[:, 0]).any()
    expected = expected / np.where(largest > 0, largest, 1)
    np.testing.assert_allclose(product_scaled_to_one(left, right).toarray(), expected, rtol=1e-4, atol=1e-6)


def test_rows_of_which_many_items_speak_for_the_same_ones_take_no_more_room_than_they_fill() -> None:
    left, right = np.arange(1, 41, dtype=np.float32).reshape(5, 8), np.arange(1, 25, dtype=np.float32).reshape(8, 3)
    found = product_scaled_to_one(csr_matrix(left), csr_matrix(right))
    np.testing.assert_allclose(found.toarray(), left @ right / (left @ right).max(axis=1, keepdims=True), rtol=1e-5)
    assert found.nnz == 15
    assert len(found.data.base) == 15  # what it is a view of


def test_nothing_times_something_is_nothing() -> None:
    found = product_scaled_to_one(csr_matrix((3, 4), dtype=np.float32), sparse(1, 4, 5))
    assert (found.shape, found.nnz) == ((3, 5), 0)
    assert product_scaled_to_one(csr_matrix((0, 4), dtype=np.float32), sparse(1, 4, 5)).shape == (0, 5)


@pytest.mark.parametrize("seed", [1, 2])
def test_rows_are_added_and_picked_as_from_a_dense_matrix(seed: int) -> None:
    part = sparse(seed, 7, 11)
    scores = np.random.default_rng(seed).standard_normal((7, 11)).astype(np.float32)
    expected = scores + part.toarray()
    add_rows(scores, part)
    np.testing.assert_allclose(scores, expected, rtol=1e-6)
    chosen = np.random.default_rng(seed).integers(0, 11, (7, 4))
    assert picked(part, chosen).tolist() == np.take_along_axis(part.toarray(), chosen, axis=1).tolist()


def test_a_value_for_each_column_and_one_for_each_row_are_added() -> None:
    scores = np.ones((2, 3), dtype=np.float32)
    add_vector_and_shift(scores, np.array([1, 2, 3], np.float32), np.array([10, 20], np.float32))
    assert scores.tolist() == [[12, 13, 14], [22, 23, 24]]
