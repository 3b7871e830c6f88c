"""The best items of shoppers, exact, without a look at items that cannot be among them.

Items are scored in the order of what they can give at most, some at a time. A shopper whose list so far is better than
what is left can give is done. A shopper's own items, to which more is added, are scored first, one by one.

Of Gowalla's 41,000 items a shopper of a model of rank 64 is scored about a third, of rank 256 most: where vectors are
all about as long, few can be left out.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from freshet.compiled import compiled
from freshet.recommendation.search_order import SearchOrder
from freshet.top_k import Found, add_columns, nothing_found, put

_REST = 0.9
"""Share of the shoppers of a product who still search; with fewer the others are taken out of it. That copies vectors,
a small part of what the product takes."""


def searched(
    left: NDArray[np.float32], order: SearchOrder, own: csr_matrix, *, left_out: NDArray[np.bool_],
    rows: NDArray[np.int64], width: int, length: int, room: NDArray[np.float32],
) -> Found[np.float32]:  # fmt: skip
    """Columns and values [shoppers, length] of the best by left @ vectors', best first, ties by lower column.

    `own` [shoppers, items]: what is added to scores; minus infinity for what is in this shopper's list never.
    `left_out` [items], by place of the order: what is in nobody's list. Only `rows` are searched for, others stay
    without a column. `width`: items of a product, of which `room` takes the scores of all shoppers. Raises ValueError
    for a score that is not a number.
    """
    best = nothing_found(len(left), length, np.dtype(np.float32))
    places = order.places[own.indices].astype(np.int32)
    _put_own(left, order.vectors, own.indptr, own.indices, places, own.data, left_out, *best)
    lengths = np.sqrt(np.einsum("ij,ij->i", left[:, :-1], left[:, :-1]))
    # Bounds of the whole order hold every number; of one that is none a search would say nothing and end.
    if np.isnan(order.most(lengths, 0)).any():
        raise ValueError("a score is not a number")
    passed = np.zeros(len(left), dtype=np.int64)
    vectors = np.ascontiguousarray(left[rows]) if len(rows) < len(left) else left
    for first in range(0, len(order.columns), width):
        searching = best[1][rows, -1] <= order.most(lengths[rows], first)
        if np.count_nonzero(searching) < _REST * len(rows):
            rows = rows[searching]
            vectors = np.ascontiguousarray(left[rows])
        if not len(rows):
            break
        items = order.vectors[first : first + width]
        scores = np.matmul(items, vectors.T, out=room[: len(items) * len(rows)].reshape(len(items), len(rows)))
        scores[left_out[first : first + width]] = -np.inf
        _leave_own_out(scores, rows, own.indptr, places, passed, first)
        add_columns(best, scores.T, order.columns[first : first + width], rows)
    return best


@compiled
def _put_own(  # noqa: PLR0913 - a kernel takes plain arrays
    left: NDArray[np.float32], vectors: NDArray[np.float32],
    ends: NDArray[np.int32], columns: NDArray[np.int32], places: NDArray[np.int32], added: NDArray[np.float32],
    left_out: NDArray[np.bool_], found: NDArray[np.int64], values: NDArray[np.float32],
) -> None:  # fmt: skip
    """Puts the scores of shoppers' own items among their best, and sorts the places of each shopper's."""
    for row in range(len(ends) - 1):
        for n in range(ends[row], ends[row + 1]):
            if added[n] != -np.inf and not left_out[places[n]]:
                score = np.float32(0.0)
                for axis in range(left.shape[1]):
                    score += left[row, axis] * vectors[places[n], axis]
                if np.isnan(score + added[n]):
                    raise ValueError("a score is not a number")
                put(values[row], found[row], score + added[n], columns[n])
        places[ends[row] : ends[row + 1]] = np.sort(places[ends[row] : ends[row + 1]])


@compiled
def _leave_own_out(
    scores: NDArray[np.float32], rows: NDArray[np.int64], ends: NDArray[np.int32], places: NDArray[np.int32],
    passed: NDArray[np.int64], first: int,
) -> None:  # fmt: skip
    """Minus infinity at shoppers' own items, which were put before. `passed` counts those of earlier products."""
    for column in range(len(rows)):
        row = rows[column]
        n = ends[row] + passed[row]
        while n < ends[row + 1] and places[n] < first + scores.shape[0]:
            scores[places[n] - first, column] = -np.inf
            n += 1
        passed[row] = n - ends[row]
