"""Sums over sparse rows, held against SciPy's."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, random_array

from freshet.numeric.row_kernels import (
    add_rows,
    add_scaled_product,
    chosen_products,
    chosen_sums,
    column_contributions,
    picked,
)


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


def scaled(left: csr_matrix, right: csr_matrix, weight: float) -> NDArray[np.float32]:
    product = (left @ right).toarray()
    largest = np.abs(product).max(axis=1, keepdims=True, initial=0.0)
    return weight * product / np.where(largest > 0, largest, 1)


@pytest.mark.parametrize("columns", [14, 150, 900], ids=["in a row", "both ways", "one by one"])
@pytest.mark.parametrize(("seed", "weight"), [(1, 1.0), (2, 0.3), (3, -2.0)])
def test_a_product_is_added_with_each_row_s_value_of_largest_size_made_the_weight(
    seed: int, weight: float, columns: int
) -> None:
    left, right = sparse(seed, 9, 6), sparse(seed + 10, 6, 14)
    # Columns that nobody speaks for: a row of few pairs among many columns goes another way.
    right = csr_matrix((right.data, right.indices, right.indptr), shape=(6, columns))
    product = (left @ right).toarray()
    assert (product.max(axis=1) < np.abs(product).max(axis=1)).any()
    assert (product == 0).all(axis=1).any()
    before = np.random.default_rng(seed).standard_normal((9, columns)).astype(np.float32)
    scores = before.copy()
    factors = add_scaled_product(scores, left, right, weight)
    np.testing.assert_allclose(scores, before + scaled(left, right, weight), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(factors[:, None] * product, scaled(left, right, weight), rtol=1e-4, atol=1e-6)
    assert (factors == 0).tolist() == (product == 0).all(axis=1).tolist()


def test_nothing_times_something_adds_nothing() -> None:
    for rows in (0, 3):
        scores = np.ones((rows, 5), dtype=np.float32)
        assert add_scaled_product(scores, csr_matrix((rows, 4), dtype=np.float32), sparse(1, 4, 5), 1.0).sum() == 0
        assert (scores == 1).all()


def test_what_has_faded_to_nothing_adds_nothing_and_no_infinity() -> None:
    faded = csr_matrix(np.full((1, 2), 1e-40, dtype=np.float32))
    scores = np.zeros((1, 3), dtype=np.float32)
    assert add_scaled_product(scores, faded, csr_matrix(np.ones((2, 3), dtype=np.float32)), 2.0).tolist() == [0.0]
    assert scores.tolist() == [[0.0, 0.0, 0.0]]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_what_is_said_for_a_column_and_by_whom_most_is_found_in_the_sense_of_the_sum(seed: int) -> None:
    left, right = sparse(seed, 9, 12), sparse(seed + 10, 12, 14)
    left.data = np.abs(left.data)
    chosen = np.random.default_rng(seed).integers(0, 14, (9, 5))
    factors = np.random.default_rng(seed + 1).standard_normal(9).astype(np.float32)
    values, origins = column_contributions(left, right.tocsc(), chosen, factors)
    assert {-1} < set(origins.ravel().tolist())
    for row, place in np.ndindex(values.shape):
        parts = left[row].toarray()[0] * right[:, [chosen[row, place]]].toarray()[:, 0]
        assert values[row, place] == pytest.approx(factors[row] * parts.sum(), abs=1e-5)
        sense = 1 if parts.sum() >= 0 else -1
        assert origins[row, place] == (int(np.argmax(sense * parts)) if parts.any() else -1)


def test_of_columns_that_say_the_same_the_lower_is_named() -> None:
    owned, weights = csr_matrix(np.array([[0, 2, 1, 2]], np.float32)), np.array([[9], [1], [2], [1]], np.float32)
    values, origins = column_contributions(owned, csr_matrix(weights).tocsc(), np.array([[0]]), np.ones(1, np.float32))
    assert (values.tolist(), origins.tolist()) == ([[6.0]], [[1]])


@pytest.mark.parametrize("seed", [1, 2])
def test_rows_are_added_and_picked_as_from_a_dense_matrix(seed: int) -> None:
    part = sparse(seed, 7, 11)
    scores = np.random.default_rng(seed).standard_normal((7, 11)).astype(np.float32)
    expected = scores + part.toarray()
    add_rows(scores, part)
    np.testing.assert_allclose(scores, expected, rtol=1e-6)
    chosen = np.random.default_rng(seed).integers(0, 11, (7, 4))
    assert picked(part, chosen).tolist() == np.take_along_axis(part.toarray(), chosen, axis=1).tolist()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_sums_and_products_of_chosen_columns_are_those_of_the_whole_product(seed: int) -> None:
    rng = np.random.default_rng(seed)
    left, right = sparse(seed, 9, 6), sparse(seed + 10, 6, 14)
    chosen = rng.integers(0, 14, (9, 20))  # with repetitions
    factors = rng.standard_normal(9).astype(np.float32)
    wanted = np.take_along_axis((left @ right).toarray() * factors[:, None], chosen, axis=1)
    np.testing.assert_allclose(chosen_sums(left, right, chosen, factors), wanted, atol=1e-6)
    rows, others = rng.random((9, 5), dtype=np.float32), rng.random((14, 5), dtype=np.float32)
    wanted = np.take_along_axis(rows @ others.T, chosen, axis=1)
    np.testing.assert_allclose(chosen_products(rows, others, chosen), wanted, rtol=1e-5)
