"""Sums over the rows of sparse matrices, compiled: SciPy's own keep Python's lock, and threads would wait for it.

A matrix is given as the three arrays of scipy.sparse.csr_matrix; columns of a row need no order.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from freshet.compiled import compiled


def product_scaled_to_one(left: csr_matrix, right: csr_matrix) -> csr_matrix:
    """left @ right in float32, each row's value of largest size scaled to 1 or -1; rows of zeros stay as they are."""
    met = np.concatenate([[0], np.cumsum(np.diff(right.indptr)[left.indices], dtype=np.int64)])
    # A row has no more values than there are columns, however many of its items speak for the same one.
    most = int(np.minimum(np.diff(met[left.indptr]), right.shape[1]).sum())
    indptr = np.zeros(left.shape[0] + 1, dtype=np.int64)
    columns, values = np.empty(most, dtype=np.int32), np.empty(most, dtype=np.float32)
    _product(
        left.indptr, left.indices, left.data.astype(np.float32, copy=False), right.indptr, right.indices, right.data,
        np.full(right.shape[1], -1, dtype=np.int64), np.empty(right.shape[1], dtype=np.float32), indptr, columns,
        values,
    )  # fmt: skip
    size = indptr[-1]
    return csr_matrix((values[:size], columns[:size], indptr), shape=(left.shape[0], right.shape[1]))


def add_rows(scores: NDArray[np.float32], part: csr_matrix) -> None:
    """Adds a matrix of the same shape in place."""
    _add(scores, part.indptr, part.indices, part.data.astype(np.float32, copy=False))


def picked(part: csr_matrix, chosen: NDArray[np.int64]) -> NDArray[np.float32]:
    """Of each row the values at its chosen columns, [rows, k]; 0 where there is none."""
    found = np.empty(chosen.shape, dtype=np.float32)
    room = np.zeros(part.shape[1], dtype=np.float32)
    _pick(part.indptr, part.indices, part.data.astype(np.float32, copy=False), chosen, room, found)
    return found


@compiled
def _product(  # noqa: PLR0913 - a kernel takes plain arrays
    left_ends: NDArray[np.int32], left_columns: NDArray[np.int32], left_values: NDArray[np.float32],
    right_ends: NDArray[np.int32], right_columns: NDArray[np.int32], right_values: NDArray[np.float32],
    seen: NDArray[np.int64], room: NDArray[np.float32],
    ends: NDArray[np.int64], columns: NDArray[np.int32], values: NDArray[np.float32],
) -> None:  # fmt: skip
    count = 0
    for row in range(len(left_ends) - 1):
        start = count
        for n in range(left_ends[row], left_ends[row + 1]):
            own = left_columns[n]
            for m in range(right_ends[own], right_ends[own + 1]):
                column = right_columns[m]
                if seen[column] != row:
                    seen[column] = row
                    room[column] = np.float32(0.0)
                    columns[count] = column
                    count += 1
                room[column] += left_values[n] * right_values[m]
        largest = np.float32(0.0)
        for n in range(start, count):
            largest = max(largest, abs(room[columns[n]]))
        scale = largest if largest > 0 else np.float32(1.0)
        for n in range(start, count):
            values[n] = room[columns[n]] / scale
        ends[row + 1] = count


@compiled
def _add(
    scores: NDArray[np.float32], ends: NDArray[np.int64], columns: NDArray[np.int32], values: NDArray[np.float32]
) -> None:
    for row in range(len(ends) - 1):
        for n in range(ends[row], ends[row + 1]):
            scores[row, columns[n]] += values[n]


@compiled
def add_vector_and_shift(scores: NDArray[np.float32], vector: NDArray[np.float32], shift: NDArray[np.float32]) -> None:
    """Adds a value for each column and one for each row, in place."""
    for row in range(scores.shape[0]):
        for column in range(scores.shape[1]):
            scores[row, column] += vector[column] + shift[row]


@compiled
def _pick(
    ends: NDArray[np.int64], columns: NDArray[np.int32], values: NDArray[np.float32], chosen: NDArray[np.int64],
    room: NDArray[np.float32], found: NDArray[np.float32],
) -> None:  # fmt: skip
    for row in range(len(ends) - 1):
        for n in range(ends[row], ends[row + 1]):
            room[columns[n]] += values[n]
        for place in range(chosen.shape[1]):
            found[row, place] = room[chosen[row, place]]
        for n in range(ends[row], ends[row + 1]):
            room[columns[n]] = np.float32(0.0)
