"""The solver of regularised Gram matrices against dense algebra in double precision."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from freshet.core.errors import SettingsError
from freshet.numeric.damped_gram import damped_gram, needed_bytes


def _observations(seed: int, rows: int = 40, items: int = 13) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    dense = rng.integers(1, 4, (rows, items)) * (rng.random((rows, items)) < np.linspace(0.6, 0.05, items))
    return dense.astype(np.float64)


def _changed(dense: NDArray[np.float64], reg: float, dense_items: int) -> NDArray[np.float64]:
    """X'X + reg I, the tail's block of X'X replaced by its row sums on the diagonal: by loops."""
    gram = dense.T @ dense
    items = len(gram)
    tail = sorted(range(items), key=lambda i: (-gram[i, i], i))[dense_items:]
    changed = gram.copy()
    for i in tail:
        for j in tail:
            changed[i, j] = sum(gram[i, other] for other in tail) if i == j else 0.0
    return changed + reg * np.eye(items)


@pytest.mark.parametrize("dense_items", [1, 5, 12, 13, 50])
def test_solutions_equal_those_of_the_matrix_that_is_promised(dense_items: int) -> None:
    dense = _observations(3)
    right = np.random.default_rng(4).standard_normal((7, 13)).astype(np.float32)
    gram = damped_gram(csr_matrix(dense), reg_param=2.5, dense_items=dense_items)
    expected = np.linalg.solve(_changed(dense, 2.5, dense_items), right.T).T
    np.testing.assert_allclose(gram.solved(right.copy(), 13), expected, rtol=1e-4, atol=1e-6)


def test_with_few_entries_kept_the_tail_follows_from_the_largest_of_the_head() -> None:
    dense = _observations(5)
    right = np.random.default_rng(6).standard_normal((4, 13)).astype(np.float32)
    gram = damped_gram(csr_matrix(dense), reg_param=2.5, dense_items=8)
    every, few = gram.solved(right.copy(), 8), gram.solved(right.copy(), 2)
    np.testing.assert_array_equal(few[:, gram.head], every[:, gram.head])
    shared = dense[:, gram.head].T @ dense[:, gram.tail]
    for side in range(4):
        head = every[side, gram.head].astype(float)
        head[np.argsort(-np.abs(head))[2:]] = 0.0
        expected = (right[side, gram.tail] - head @ shared) * gram.tail_scale
        np.testing.assert_allclose(few[side, gram.tail], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_leaving_out_what_tail_items_share_never_damps_less_than_the_exact_matrix(seed: int) -> None:
    dense = _observations(seed)
    more = _changed(dense, 1.0, 4) - _changed(dense, 1.0, 13)
    assert np.linalg.eigvalsh(more).min() > -1e-9


def test_the_head_is_what_has_the_largest_diagonal_and_ties_go_to_the_lower_column() -> None:
    dense = np.array([[1.0, 2.0, 1.0, 3.0], [1.0, 0.0, 1.0, 0.0]])
    gram = damped_gram(csr_matrix(dense), reg_param=1.0, dense_items=3)
    assert gram.head.tolist() == [0, 1, 3]
    assert gram.tail.tolist() == [2]


def test_a_damping_that_single_precision_cannot_see_is_an_error() -> None:
    twins = csr_matrix(np.repeat([[1000.0], [3000.0]], 3, axis=1))
    with pytest.raises(SettingsError, match="reg_param 1e-09: the damping is too small"):
        damped_gram(twins, reg_param=1e-9, dense_items=3)


def test_no_items_and_no_observations_are_solved_as_well() -> None:
    nothing = csr_matrix((0, 0), dtype=np.float32)
    assert damped_gram(nothing, reg_param=1.0, dense_items=2).solved(nothing.toarray(), 1).size == 0
    silent = damped_gram(csr_matrix((0, 3)), reg_param=4.0, dense_items=2)
    assert np.diag(silent.solved(np.eye(3, dtype=np.float32), 1)).tolist() == [0.25] * 3


def test_needed_memory_grows_with_the_square_of_the_head_alone() -> None:
    rng = np.random.default_rng(0)
    shape = 50_000, 60_000
    pairs = csr_matrix((np.ones(200_000, np.float32), (rng.integers(shape[0], size=200_000),
                                                       rng.integers(shape[1], size=200_000))), shape=shape)  # fmt: skip
    small, large = (needed_bytes(pairs, dense_items=head, sides=0) for head in (5_000, 15_000))
    squares = 4 * (15_000**2 - 5_000**2)
    assert squares < large - small < 1.1 * squares
    assert needed_bytes(pairs, dense_items=60_000, sides=0) > 4 * 60_000**2
