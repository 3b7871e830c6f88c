"""Sums over the rows of sparse matrices, compiled: SciPy's own hold Python's lock, and threads would wait for it.

A matrix is given as the three arrays of scipy.sparse.csr_matrix; columns of a row need no order.
"""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_matrix, csr_matrix

from freshet.numeric.compiled import compiled

Places: TypeAlias = NDArray[np.uint32] | NDArray[np.uint64]

_LEAST = np.float32(1e-30)
"""Smaller values count as 0: their scale factor would be near the largest number of single precision."""

_PAIR_COST = 20
"""Number of columns that can be scanned in the time of one look-up. With 60,000 columns, 900 pairs took 17 us by
look-up and 37 by a scan, 8,800 pairs 108 and 50, so that both take the same time for about 2,900 pairs."""


def add_scaled_product(
    scores: NDArray[np.float32], left: csr_matrix, right: csr_matrix, weight: float
) -> NDArray[np.float32]:
    """Adds left @ right in place, each row scaled so that its largest absolute value is `weight`.

    Returns the factors by which the rows were scaled; rows of zeros, or of nearly zeros, add nothing and have factor 0.
    """
    factors = np.zeros(left.shape[0], dtype=np.float32)
    _add_scaled(
        scores, *_places(left), left.data.astype(np.float32, copy=False), *_places(right), right.data,
        np.float32(weight), np.zeros(right.shape[1], dtype=np.float32), factors,
    )  # fmt: skip
    return factors


def scaled_product(left: csr_matrix, right: csr_matrix, weight: float) -> tuple[csr_matrix, NDArray[np.float32]]:
    """The addend of `add_scaled_product` as a sparse matrix whose columns rise in each row, and its factors.

    For results whose rows are so sparse that dense rows as wide as the catalogue would cost more.
    """
    ends = np.zeros(left.shape[0] + 1, dtype=np.int64)
    marked = np.full(right.shape[1], -1, dtype=np.int64)
    _count_columns(*_places(left), *_places(right), marked, ends)
    ends = np.cumsum(ends)
    columns, values = np.empty(ends[-1], dtype=np.int32), np.empty(ends[-1], dtype=np.float32)
    factors = np.zeros(left.shape[0], dtype=np.float32)
    _scale_few(
        *_places(left), left.data.astype(np.float32, copy=False), *_places(right), right.data, np.float32(weight),
        np.zeros(right.shape[1], dtype=np.float32), marked, ends, columns, values, factors,
    )  # fmt: skip
    # 32 bits as in SciPy's matrices, for which the kernels are compiled.
    return csr_matrix((values, columns, ends.astype(np.int32)), shape=(left.shape[0], right.shape[1])), factors


def _places(matrix: csr_matrix | csc_matrix) -> tuple[Places, Places]:
    """Row ends and column indices as unsigned numbers: each use of a signed index checks for a negative value, which
    takes a third of the time of such a kernel."""
    ends, places = matrix.indptr, matrix.indices
    return ends.view(f"u{ends.itemsize}"), places.view(f"u{places.itemsize}")


def column_contributions(
    left: csr_matrix, by_column: csc_matrix, chosen: NDArray[np.int64], factors: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """For each row the values of factors * (left @ by_column) at its chosen columns, and the origin of each value.

    Both [rows, k]. The origin is the column of `left` whose product contributes most with the sign of the value, the
    lower of equal ones, and -1 if there is none.
    """
    values, origins = np.zeros(chosen.shape, dtype=np.float32), np.full(chosen.shape, -1, dtype=np.int64)
    _column_contributions(
        *_places(left), left.data.astype(np.float32, copy=False), *_places(by_column), by_column.data, chosen, factors,
        np.zeros(left.shape[1], dtype=np.float32), values, origins,
    )  # fmt: skip
    return values, origins


def add_rows(scores: NDArray[np.float32], part: csr_matrix) -> None:
    """Adds a matrix of the same shape in place."""
    _add(scores, *_places(part), part.data.astype(np.float32, copy=False))


@compiled
def leave_out_columns(scores: NDArray[np.float32], is_left_out: NDArray[np.bool_]) -> None:
    """Sets these columns of all rows to minus infinity. A pass over whole rows: NumPy's assignment to 15,000 of 60,000
    columns took twice as long."""
    for row in range(scores.shape[0]):
        own = scores[row]
        for column in range(len(own)):
            own[column] = np.float32(-np.inf) if is_left_out[column] else own[column]


def picked(part: csr_matrix, chosen: NDArray[np.int64]) -> NDArray[np.float32]:
    """For each row the values at its chosen columns, [rows, k]; 0 for entries that are not stored."""
    found = np.empty(chosen.shape, dtype=np.float32)
    buffer = np.zeros(part.shape[1], dtype=np.float32)
    _pick(*_places(part), part.data.astype(np.float32, copy=False), chosen, buffer, found)
    return found


def chosen_sums(
    left: csr_matrix, right: csr_matrix, chosen: NDArray[np.int64], factors: NDArray[np.float32]
) -> NDArray[np.float32]:
    """`column_contributions` without origins, by the rows of `right`: they are shorter than the columns of popular
    items, which most chosen ones are. For 100 columns of 60,000 this took a third of the time."""
    values = np.empty(chosen.shape, dtype=np.float32)
    _chosen_sums(
        *_places(left), left.data.astype(np.float32, copy=False), *_places(right), right.data, chosen, factors,
        np.full(right.shape[1], -1, dtype=np.int32), np.zeros(chosen.shape[1], dtype=np.float32), values,
    )  # fmt: skip
    return values


@compiled
def _chosen_sums(  # noqa: PLR0913 - a kernel takes plain arrays
    left_ends: Places, left_columns: Places, left_values: NDArray[np.float32],
    right_ends: Places, right_columns: Places, right_values: NDArray[np.float32],
    chosen: NDArray[np.int64], factors: NDArray[np.float32],
    first: NDArray[np.int32], sums: NDArray[np.float32], values: NDArray[np.float32],
) -> None:  # fmt: skip
    """`first` is as wide as `right`, all -1: for a row the first place at which a column is chosen."""
    for row in range(len(left_ends) - 1):
        for place in range(chosen.shape[1] - 1, -1, -1):
            first[chosen[row, place]] = place
        sums[:] = np.float32(0.0)
        for n in range(left_ends[row], left_ends[row + 1]):
            own, value = left_columns[n], left_values[n]
            for m in range(right_ends[own], right_ends[own + 1]):
                place = first[right_columns[m]]
                if place >= 0:
                    sums[place] += value * right_values[m]
        for place in range(chosen.shape[1]):
            values[row, place] = factors[row] * sums[first[chosen[row, place]]]
        for place in range(chosen.shape[1]):
            first[chosen[row, place]] = -1


def chosen_products(
    left: NDArray[np.float32], right: NDArray[np.float32], chosen: NDArray[np.int64]
) -> NDArray[np.float32]:
    """For each row of `left` its products with the rows `chosen` of `right`, [rows, k]; without a copy of these."""
    found = np.empty(chosen.shape, dtype=np.float32)
    _chosen_products(left, right, chosen, found)
    return found


@compiled
def _chosen_products(
    left: NDArray[np.float32], right: NDArray[np.float32], chosen: NDArray[np.int64], found: NDArray[np.float32]
) -> None:
    for row in range(chosen.shape[0]):
        for place in range(chosen.shape[1]):
            other, total = chosen[row, place], np.float32(0.0)
            for n in range(left.shape[1]):
                total += left[row, n] * right[other, n]
            found[row, place] = total


@compiled
def _add_scaled(  # noqa: PLR0913 - a kernel takes plain arrays
    scores: NDArray[np.float32],
    left_ends: Places, left_columns: Places, left_values: NDArray[np.float32],
    right_ends: Places, right_columns: Places, right_values: NDArray[np.float32],
    weight: np.float32, buffer: NDArray[np.float32], factors: NDArray[np.float32],
) -> None:  # fmt: skip
    for row in range(len(left_ends) - 1):
        first, last, pairs = left_ends[row], left_ends[row + 1], np.int64(0)
        for n in range(first, last):
            own, value = left_columns[n], left_values[n]
            pairs += np.int64(right_ends[own + 1] - right_ends[own])
            for m in range(right_ends[own], right_ends[own + 1]):
                buffer[right_columns[m]] += value * right_values[m]
        if pairs * _PAIR_COST > len(buffer):
            factors[row] = _factor(_largest(buffer.view(np.int32)), weight)
            for column in range(len(buffer)):
                scores[row, column] += factors[row] * buffer[column]
            buffer[:] = np.float32(0.0)
        else:
            factors[row] = _add_few(
                scores[row], left_columns[first:last], right_ends, right_columns, weight, buffer
            )  # fmt: skip


@compiled
def add_up_row(  # noqa: PLR0913 - a kernel takes plain arrays
    row: int, left_ends: NDArray[Any], left_columns: NDArray[Any], left_values: NDArray[Any],
    right_ends: NDArray[Any], right_columns: NDArray[Any], right_values: NDArray[Any],
    sums: NDArray[Any], marked: NDArray[Any], written: NDArray[Any],
) -> int:  # fmt: skip
    """Adds up a row of left @ right in `sums`, writes its columns to `written` and returns their number.

    `sums` and `marked` are as wide as the product; `marked` starts at -1 and records which row has written a column
    last, so that a sum left from another row needs no clearing.
    """
    count = 0
    for n in range(left_ends[row], left_ends[row + 1]):
        own, value = left_columns[n], left_values[n]
        for m in range(right_ends[own], right_ends[own + 1]):
            column = right_columns[m]
            if marked[column] != row:
                marked[column] = row
                written[count] = column
                count += 1
                sums[column] = 0.0
            sums[column] += value * right_values[m]
    return count


@compiled
def _count_columns(
    left_ends: Places, left_columns: Places, right_ends: Places, right_columns: Places,
    marked: NDArray[np.int64], counts: NDArray[np.int64],
) -> None:  # fmt: skip
    """Writes the number of columns of each row of left @ right to the next index; leaves `marked` at -1."""
    for row in range(len(left_ends) - 1):
        for n in range(left_ends[row], left_ends[row + 1]):
            for m in range(right_ends[left_columns[n]], right_ends[left_columns[n] + 1]):
                if marked[right_columns[m]] != row:
                    marked[right_columns[m]] = row
                    counts[row + 1] += 1
    marked[:] = -1


@compiled
def _scale_few(  # noqa: PLR0913 - a kernel takes plain arrays
    left_ends: Places, left_columns: Places, left_values: NDArray[np.float32],
    right_ends: Places, right_columns: Places, right_values: NDArray[np.float32],
    weight: np.float32, buffer: NDArray[np.float32], marked: NDArray[np.int64],
    ends: NDArray[np.int64], columns: NDArray[np.int32], values: NDArray[np.float32], factors: NDArray[np.float32],
) -> None:  # fmt: skip
    for row in range(len(left_ends) - 1):
        mine = columns[ends[row] : ends[row + 1]]
        add_up_row(
            row, left_ends, left_columns, left_values, right_ends, right_columns, right_values, buffer, marked, mine
        )
        mine.sort()
        largest = np.float32(0.0)
        for column in mine:
            largest = max(largest, abs(buffer[column]))
        factors[row] = _factor(largest, weight)
        for n in range(len(mine)):
            values[ends[row] + n] = factors[row] * buffer[mine[n]]


@compiled
def _factor(largest: np.float32, weight: np.float32) -> np.float32:
    return weight / largest if largest > _LEAST else np.float32(0.0)


@compiled
def _largest(bits: NDArray[np.int32]) -> np.float32:
    """The largest absolute value of single-precision numbers, passed as integers: without the sign bit these have the
    same order, and the compiler vectorises the maximum only for integers."""
    largest = np.zeros(1, np.int32)
    for column in range(len(bits)):
        largest[0] = max(largest[0], bits[column] & np.int32(0x7FFFFFFF))
    return largest.view(np.float32)[0]


@compiled
def _add_few(
    scores: NDArray[np.float32], own_columns: Places, right_ends: Places,
    right_columns: Places, weight: np.float32, buffer: NDArray[np.float32],
) -> np.float32:  # fmt: skip
    """Adds the written cells of `buffer` and clears them. It visits the same columns twice, as they stay in the
    processor's cache and recording them would cost more."""
    largest = np.float32(0.0)
    for own in own_columns:
        for m in range(right_ends[own], right_ends[own + 1]):
            largest = max(largest, abs(buffer[right_columns[m]]))
    factor = _factor(largest, weight)
    for own in own_columns:
        for m in range(right_ends[own], right_ends[own + 1]):
            column = right_columns[m]
            # A column that occurs again adds 0, as it was cleared.
            scores[column] += factor * buffer[column]
            buffer[column] = np.float32(0.0)
    return factor


@compiled
def _column_contributions(  # noqa: PLR0913 - a kernel takes plain arrays
    ends: Places, columns: Places, inputs: NDArray[np.float32],
    target_ends: Places, sources: Places, weights: NDArray[np.float32],
    chosen: NDArray[np.int64], factors: NDArray[np.float32], buffer: NDArray[np.float32],
    values: NDArray[np.float32], origins: NDArray[np.int64],
) -> None:  # fmt: skip
    for row in range(len(ends) - 1):
        for n in range(ends[row], ends[row + 1]):
            buffer[columns[n]] = inputs[n]
        for place in range(chosen.shape[1]):
            item = chosen[row, place]
            total, most, least = np.float32(0.0), np.float32(0.0), np.float32(0.0)
            for_it, against_it = np.int64(-1), np.int64(-1)
            for m in range(target_ends[item], target_ends[item + 1]):
                own = buffer[sources[m]]
                if own != 0:
                    part = own * weights[m]
                    total += part
                    if for_it < 0 or part > most:
                        most, for_it = part, np.int64(sources[m])
                    if against_it < 0 or part < least:
                        least, against_it = part, np.int64(sources[m])
            values[row, place] = factors[row] * total
            origins[row, place] = for_it if total >= 0 else against_it
        for n in range(ends[row], ends[row + 1]):
            buffer[columns[n]] = np.float32(0.0)


@compiled
def _add(scores: NDArray[np.float32], ends: Places, columns: Places, values: NDArray[np.float32]) -> None:
    for row in range(len(ends) - 1):
        for n in range(ends[row], ends[row + 1]):
            scores[row, columns[n]] += values[n]


@compiled
def _pick(
    ends: Places, columns: Places, values: NDArray[np.float32], chosen: NDArray[np.int64],
    buffer: NDArray[np.float32], found: NDArray[np.float32],
) -> None:  # fmt: skip
    for row in range(len(ends) - 1):
        for n in range(ends[row], ends[row + 1]):
            buffer[columns[n]] += values[n]
        for place in range(chosen.shape[1]):
            found[row, place] = buffer[chosen[row, place]]
        for n in range(ends[row], ends[row + 1]):
            buffer[columns[n]] = np.float32(0.0)
