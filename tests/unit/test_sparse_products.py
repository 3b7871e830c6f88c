"""Products added up in dense blocks against NumPy's."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from freshet.numeric.sparse_products import add_product


@pytest.mark.parametrize(("kind", "error"), [(np.float32, 1e-5), (np.float64, 1e-13)])
@pytest.mark.parametrize("factor", [1.0, -0.3])
def test_a_product_is_added_to_what_is_there(kind: type[np.floating], error: float, factor: float) -> None:
    rng = np.random.default_rng(7)
    left, right = (rng.standard_normal(shape) * (rng.random(shape) < 0.3) for shape in [(6, 9), (9, 5)])
    start = rng.standard_normal((6, 5))
    cells = start.astype(kind)
    add_product(cells, csr_matrix(left), csr_matrix(right), factor)
    assert np.abs(factor * left @ right).max() > 0.1
    np.testing.assert_allclose(cells, start + factor * left @ right, rtol=error, atol=error)


def test_equal_places_add_up_and_columns_need_no_order() -> None:
    left = csr_matrix((np.array([1.0, 2.0, 5.0]), np.array([1, 0, 1]), np.array([0, 3])), shape=(1, 2))
    cells = np.zeros((1, 3))
    add_product(cells, left, csr_matrix(np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])))
    assert cells.tolist() == [[6.0, 2.0, 0.0]]


@pytest.mark.parametrize("shape", [(0, 4, 3), (3, 0, 2), (2, 3, 0)])
def test_without_rows_or_columns_nothing_changes(shape: tuple[int, int, int]) -> None:
    rows, middle, columns = shape
    cells = np.ones((rows, columns))
    add_product(cells, csr_matrix((rows, middle)), csr_matrix((middle, columns)))
    assert (cells == 1.0).all()
