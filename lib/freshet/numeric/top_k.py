"""Exact top-k of score rows, by the maxima of strips.

The columns are divided into strips of 32 scores, whose distance is the number of strips, so that all maxima come from
one pass over whole rows. The k-th highest maximum is a lower bound of a row's k-th best score: only strips that reach
it are examined, hardly more than k. Equal scores are ordered by column everywhere, also at the edge. Columns are in
item_id order, so ties go to the lower item_id.
"""

from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from freshet.numeric.compiled import compiled

DEPTH = 32
"""Scores of a strip, chosen by measurement: deeper strips mean fewer maxima to select from, more scores to examine."""

_ROWS = 16
"""Rows whose maxima are computed before their strips are examined, while these are still in the processor's cache: a
row of 41,000 scores took 20 us, against 23 in one go and 28 with NumPy alone; of 4, 16 and 64 rows 16 was best."""

Float = TypeVar("Float", bound=np.floating)
Found: TypeAlias = tuple[NDArray[np.int64], NDArray[Float]]


def top_k(scores: NDArray[Float], k: int) -> Found[Float]:
    """Columns and values [rows, min(k, columns)] of each row's highest scores, best first, ties by lower column.

    Minus infinity marks what may not be listed; it comes last. k below 1 gives no columns. Raises ValueError for NaN.
    """
    rows, columns = scores.shape
    k = max(0, min(k, columns))
    strips = columns // DEPTH
    if k == 0 or strips <= 2 * k:  # with so few strips the maxima cost more than they save
        _refuse_nan(scores)
        return _whole_rows(scores, k)
    found, values = nothing_found(rows, k, scores.dtype)
    for start in range(0, rows, _ROWS):
        part = np.ascontiguousarray(scores[start : start + _ROWS])
        highest = part[:, : strips * DEPTH].reshape(len(part), DEPTH, strips).max(axis=1)
        _refuse_nan(highest)
        _refuse_nan(part[:, strips * DEPTH :])
        _pick(part, highest, found[start : start + _ROWS], values[start : start + _ROWS])
    return found, values


def nothing_found(rows: int, k: int, dtype: np.dtype[Float]) -> Found[Float]:
    """The initial state of a search with `put`: no columns, and values of minus infinity."""
    return np.full((rows, k), np.iinfo(np.int64).max), np.full((rows, k), -np.inf, dtype=dtype)


def found_matrix(columns: NDArray[np.int64], values: NDArray[Float], width: int) -> csr_matrix:
    """[rows, width] with the positive values of a search at their columns, which rise in each row."""
    keep = values > 0
    ends = np.concatenate([[0], np.cumsum(keep.sum(axis=1))])
    matrix = csr_matrix((values[keep], columns[keep], ends), shape=(len(columns), width))
    matrix.sort_indices()
    return matrix


def _refuse_nan(values: NDArray[Float]) -> None:
    if np.isnan(values).any():
        raise ValueError("a score is not a number")


@compiled
def _pick(scores: NDArray[Float], highest: NDArray[Float], columns: NDArray[np.int64], values: NDArray[Float]) -> None:
    """The best of each row, from the strips whose maxima are among the k highest and the columns after the last strip.

    Most scores that `put` would refuse are not passed to it: with a call for each score a row of 41,000 took 54 us of a
    busy core instead of 33.
    """
    strips = highest.shape[1]
    bounds, nowhere = np.empty_like(values[0]), np.zeros(values.shape[1], np.int64)
    for row in range(scores.shape[0]):
        best, places, own = values[row], columns[row], scores[row]
        bounds[:] = -np.inf
        for strip in range(strips):
            if highest[row, strip] > bounds[-1]:
                put(bounds, nowhere, highest[row, strip], 0)
        edge = bounds[-1]
        for strip in range(strips):
            if highest[row, strip] >= edge:
                for column in range(strip, DEPTH * strips, strips):
                    if own[column] >= edge:
                        put(best, places, own[column], column)
        for column in range(DEPTH * strips, scores.shape[1]):
            if own[column] >= edge:
                put(best, places, own[column], column)


@compiled
def put(best: NDArray[Float], places: NDArray[np.int64], value: Float, place: int) -> None:
    """Inserts a value among the best if it is one of them; of equal values the lower column is better."""
    last = len(best) - 1
    if value < best[last] or (value == best[last] and place > places[last]):
        return
    while last > 0 and (best[last - 1] < value or (best[last - 1] == value and places[last - 1] > place)):
        best[last], places[last] = best[last - 1], places[last - 1]
        last -= 1
    best[last], places[last] = value, place


def _whole_rows(scores: NDArray[Float], k: int) -> Found[Float]:
    rows, columns = scores.shape
    if k == 0:
        return np.empty((rows, 0), dtype=np.int64), np.empty((rows, 0), dtype=scores.dtype)
    edge = np.partition(scores, columns - k, axis=1)[:, columns - k, None]
    chosen = scores >= edge
    tied = np.flatnonzero(np.count_nonzero(chosen, axis=1) > k)
    if len(tied):  # of the columns at the edge the lowest, as many as fit
        above = scores[tied] > edge[tied]
        at_edge = chosen[tied] & ~above
        free = k - np.count_nonzero(above, axis=1)[:, None]
        chosen[tied] = above | (at_edge & (np.cumsum(at_edge, axis=1) <= free))
    found = np.nonzero(chosen)[1].reshape(rows, k)
    values = np.take_along_axis(scores, found, axis=1)
    # Columns are in rising order, which a stable sort keeps among equal scores.
    order = np.argsort(-values, axis=1, kind="stable")
    return np.take_along_axis(found, order, axis=1), np.take_along_axis(values, order, axis=1)
