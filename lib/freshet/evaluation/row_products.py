"""Products of sparse rows of which only the best entries are kept, compiled.

Matrices are given as the three arrays of scipy.sparse.csr_matrix. A row is added up in one array as wide as the
product; `marked` records where this row has written, so that only those cells are read or cleared.
"""

import numpy as np
from numpy.typing import NDArray

from freshet.numeric.compiled import compiled
from freshet.numeric.row_kernels import add_up_row
from freshet.numeric.top_k import put

_CANCELLED = 1e-12
"""Share of a dot product: a smaller difference from it is rounding error."""


@compiled
def best_neighbours(  # noqa: PLR0913 - a kernel takes plain arrays
    left_ends: NDArray[np.int32], left_columns: NDArray[np.int32], left_values: NDArray[np.float64],
    right_ends: NDArray[np.int32], right_columns: NDArray[np.int32], right_values: NDArray[np.float64],
    rows: NDArray[np.int64], shifts: NDArray[np.float64], own_lengths: NDArray[np.float64],
    other_lengths: NDArray[np.float64], shrinkage: float, is_neighbour: NDArray[np.bool_],
    columns: NDArray[np.int64], values: NDArray[np.float32], own: NDArray[np.float32],
) -> None:  # fmt: skip
    """For each of `rows`, whose vectors are the rows of left, the best other rows and the value of the row itself.

    The columns of right are all rows. shifts, own_lengths, other_lengths [measures, all rows]; columns, values
    [measures, rows, count], filled as by `put`; own [measures, rows]; is_neighbour [all rows]. See kernels.nearest.
    """
    width = shifts.shape[1]
    sums, written = np.empty(width, np.float64), np.empty(width, np.int64)
    marked = np.full(width, -1, np.int64)
    count = columns.shape[2]
    for row in range(len(rows)):
        found = add_up_row(
            row, left_ends, left_columns, left_values, right_ends, right_columns, right_values, sums, marked, written
        )
        mine = rows[row]
        for measure in range(len(shifts)):
            shift, length = shifts[measure, mine], own_lengths[measure, mine]
            for n in range(found):
                other = written[n]
                scale = length * other_lengths[measure, other]
                close = sums[other] - shift * shifts[measure, other]
                # The similarity of uncorrelated rows is only cancellation error.
                if not (scale > 0.0 and close > _CANCELLED * sums[other]):
                    continue
                value = np.float32(close / (scale + shrinkage))
                if other == mine:
                    own[measure, row] = value
                elif is_neighbour[other] and value > 0.0 and count and value >= values[measure, row, -1]:
                    put(values[measure, row], columns[measure, row], value, other)


@compiled
def best_sums(  # noqa: PLR0913 - a kernel takes plain arrays
    left_ends: NDArray[np.int32], left_columns: NDArray[np.int32], left_values: NDArray[np.float64],
    right_ends: NDArray[np.int32], right_columns: NDArray[np.int32], right_values: NDArray[np.float64],
    fill: NDArray[np.float64], order: NDArray[np.int64], owned_ends: NDArray[np.int32], owned: NDArray[np.int32],
    columns: NDArray[np.int64], values: NDArray[np.float64],
) -> None:  # fmt: skip
    """The best of left @ right + fill by row, of all columns and of those that are not in `owned`.

    `order` has the columns by falling `fill`, ties by lower column; columns, values [2, rows, k] are filled as by
    `put`.
    """
    width = len(fill)
    sums, written = np.empty(width, np.float64), np.empty(width, np.int64)
    marked, own = np.full(width, -1, np.int64), np.full(width, -1, np.int64)
    for row in range(len(left_ends) - 1):
        found = add_up_row(
            row, left_ends, left_columns, left_values, right_ends, right_columns, right_values, sums, marked, written
        )
        for n in range(owned_ends[row], owned_ends[row + 1]):
            own[owned[n]] = row
        for part in range(2):
            best, places = values[part, row], columns[part, row]
            for n in range(found):
                column = written[n]
                if part == 0 or own[column] != row:
                    put(best, places, np.float64(np.float32(sums[column])) + fill[column], column)
            for column in order:
                # All later columns are worse: the rest of the catalogue need not be examined.
                if fill[column] < best[-1] or (fill[column] == best[-1] and column > places[-1]):
                    break
                if marked[column] != row and (part == 0 or own[column] != row):
                    put(best, places, fill[column], column)
