"""Products of sparse matrices whose cells are added up in a dense block, compiled.

SciPy's product counts the cells first, keeps each in two arrays and sorts them: several times the work for matrices of
items by items, which are half full.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from freshet.numeric.compiled import compiled


def add_product(cells: NDArray[np.floating[Any]], left: csr_matrix, right: csr_matrix, factor: float = 1.0) -> None:
    """Adds factor * left @ right to `cells` [left's rows, right's columns] in place, in the precision of `cells`."""
    kind = cells.dtype
    _add_product(
        cells, left.indptr, left.indices, left.data.astype(kind, copy=False), right.indptr, right.indices,
        right.data.astype(kind, copy=False), kind.type(factor),
    )  # fmt: skip


@compiled
def _add_product(
    cells: NDArray[Any], left_ends: NDArray[np.int32], left_columns: NDArray[np.int32], left_values: NDArray[Any],
    right_ends: NDArray[np.int32], right_columns: NDArray[np.int32], right_values: NDArray[Any], factor: Any,
) -> None:  # fmt: skip
    for row in range(len(left_ends) - 1):
        for n in range(left_ends[row], left_ends[row + 1]):
            own, value = left_columns[n], factor * left_values[n]
            for m in range(right_ends[own], right_ends[own + 1]):
                cells[row, right_columns[m]] += value * right_values[m]


def largest(weights: NDArray[np.float32], count: int) -> csr_matrix:
    """The rows [scored, source] with only the `count` entries of largest absolute value each; ties: lower column."""
    sizes = np.abs(weights)
    if count < sizes.shape[1]:
        edge = np.partition(sizes, sizes.shape[1] - count, axis=1)[:, -count, None]
        keep = sizes >= edge
        crowded = np.flatnonzero(np.count_nonzero(keep, axis=1) > count)
        above = sizes[crowded] > edge[crowded]
        tied = keep[crowded] & ~above
        keep[crowded] = above | (tied & (np.cumsum(tied, axis=1) <= count - above.sum(axis=1, keepdims=True)))
        weights = np.where(keep, weights, np.float32(0))
    return csr_matrix(weights)
