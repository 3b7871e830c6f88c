"""The compiled kernels of a search, for each item of each shopper.

Shoppers' own items are the arrays of a sparse matrix, `ends` and `places`, in the order of the search; lists are rows
of `found` and `values`.
"""

import numpy as np
from numpy.typing import NDArray

from freshet.numeric.compiled import compiled
from freshet.numeric.top_k import put

WORD = 8
"""Number of truth values that are checked as one number."""


@compiled
def _is_there(found: NDArray[np.int64], column: int) -> bool:
    """Whether a list has this item already: likely items are added first, and then occur again in the search."""
    is_there = False
    for item in found:
        is_there |= item == column
    return is_there


@compiled
def leave_out_chosen(
    bounds: NDArray[np.float32], rows: NDArray[np.int64], ends: NDArray[np.int32], places: NDArray[np.int32],
    chosen: NDArray[np.int64],
) -> None:  # fmt: skip
    """Sets minus infinity at shoppers' own items, which were added before, among items at rising positions `chosen`."""
    for column in range(len(rows)):
        for n in range(ends[rows[column]], ends[rows[column] + 1]):
            item = np.searchsorted(chosen, places[n])
            if item < len(chosen) and chosen[item] == places[n]:
                bounds[item, column] = -np.inf


@compiled
def put_own(  # noqa: PLR0913 - a kernel takes plain arrays
    left: NDArray[np.float32], vectors: NDArray[np.float32],
    ends: NDArray[np.int32], columns: NDArray[np.int32], places: NDArray[np.int32], added: NDArray[np.float32],
    left_out: NDArray[np.bool_], found: NDArray[np.int64], values: NDArray[np.float32],
) -> None:  # fmt: skip
    """Adds the scores of shoppers' own items to their lists, and sorts the positions of each shopper's items."""
    for row in range(len(ends) - 1):
        for n in range(ends[row], ends[row + 1]):
            if added[n] != -np.inf and not left_out[places[n]]:
                score = _score(left[row], vectors[places[n]]) + added[n]
                if np.isnan(score):
                    raise ValueError("a score is not a number")
                put(values[row], found[row], score, columns[n])
        places[ends[row] : ends[row + 1]] = np.sort(places[ends[row] : ends[row + 1]])


@compiled
def _score(left: NDArray[np.float32], right: NDArray[np.float32]) -> np.float32:
    total = np.float32(0.0)
    for axis in range(len(left)):
        total += left[axis] * right[axis]
    return total


@compiled
def leave_out(
    bounds: NDArray[np.float32], rows: NDArray[np.int64], ends: NDArray[np.int32], places: NDArray[np.int32],
    passed: NDArray[np.int64], first: int,
) -> None:  # fmt: skip
    """Sets minus infinity at shoppers' own items, added before; `passed` counts those of earlier products."""
    for column in range(len(rows)):
        row = rows[column]
        n = ends[row] + passed[row]
        while n < ends[row + 1] and places[n] < first + bounds.shape[0]:
            bounds[places[n] - first, column] = -np.inf
            n += 1
        passed[row] = n - ends[row]


@compiled
def raise_edges(edges: NDArray[np.float32], highest: NDArray[np.float32], slack: NDArray[np.float32], k: int) -> None:
    """Raises edges to the k-th highest of each column of maxima, [strips, rows], minus their slack."""
    bounds, nowhere = np.full((len(edges), k), -np.inf, edges.dtype), np.zeros(k, np.int64)
    for strip in range(highest.shape[0]):
        for row in range(highest.shape[1]):
            if highest[strip, row] > bounds[row, -1]:
                put(bounds[row], nowhere, highest[strip, row], 0)
    for row in range(len(edges)):
        edges[row] = max(edges[row], bounds[row, -1] - 2 * slack[row])


@compiled
def look(  # noqa: PLR0913 - a kernel takes plain arrays
    is_below: NDArray[np.bool_], words: NDArray[np.int64], bounds: NDArray[np.float32], rows: NDArray[np.int64],
    edges: NDArray[np.float32], slack: NDArray[np.float32], left: NDArray[np.float32], vectors: NDArray[np.float32],
    columns: NDArray[np.int64], found: NDArray[np.int64], values: NDArray[np.float32],
) -> None:  # fmt: skip
    """Scores the items whose bounds are not below their edge, found by the words of truth values. Edges rise with the
    lists."""
    item, start = 0, 0
    for word in words:
        for place in range(WORD * word, WORD * (word + 1)):
            if is_below[place]:
                continue
            while place >= start + len(rows):
                item, start = item + 1, start + len(rows)
            n = place - start
            if not bounds[place] < edges[n] and bounds[place] != -np.inf:
                row = rows[n]
                score = _score(left[row], vectors[item])
                if np.isnan(score):
                    raise ValueError("a score is not a number")
                if score >= edges[n] and not _is_there(found[row], columns[item]):
                    put(values[row], found[row], score, columns[item])
                    edges[n] = max(edges[n], values[row, -1] - slack[n])
