"""The best items of shoppers, exact, without a look at items that cannot be among them.

Items come in the order of what they can give at most, some at a time. A shopper whose list so far is better than what
is left can give is done. A shopper's own items, to which more is added, are scored first, one by one.

Of the others products give bounds: of whole vectors, or of their heads alone, which cost less and leave out less. What
reaches a shopper's list by its bound is scored. So scores come from one sum, whatever the products were cut into, and
equal items have equal scores. A shopper whose list too many items reach by heads goes on by longer ones or whole
vectors.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from freshet.compiled import compiled
from freshet.recommendation.search_order import SearchOrder
from freshet.top_k import DEPTH, Found, nothing_found, put

_REST = 0.9
"""Share of the shoppers of a product who still search; with fewer the others are taken out of it. That copies vectors,
a small part of what the product takes."""

_MANY = 0.25
"""Share of a product's items that reach a list above which its shopper goes on by longer vectors: to score an item
takes some 50 ns, its part of a product of whole vectors 4 ns at rank 256. Of the first items, the longest, more reach
than of those to come."""

_WORD, _ALL_BELOW = 8, np.uint64(0x0101010101010101)
"""So many truth values are looked at as one number, and what it is when all are true."""


class _Searching:
    """Shoppers who search by one kind of vectors; `bounds` of products with them may be off by `slack`."""

    def __init__(
        self, left: NDArray[np.float32], right: NDArray[np.float32], slack: NDArray[np.float32],
        room: NDArray[np.float32],
    ) -> None:  # fmt: skip
        self._left, self._right, self._slack, self._room = left, right, slack, room
        self.take(np.empty(0, dtype=np.int64))

    def take(self, rows: NDArray[np.int64]) -> None:
        """Goes on with these shoppers."""
        self.rows, self.slack = rows, self._slack[rows]
        is_all = np.array_equal(rows, np.arange(len(self._left)))
        self._vectors = self._left if is_all else self._left[rows]

    def bounds(self, first: int, width: int) -> NDArray[np.float32]:
        """Of the items at first:first + width, [items, shoppers]."""
        items = self._right[first : first + width]
        out = self._room[: len(items) * len(self.rows)].reshape(len(items), len(self.rows))
        return np.matmul(items, self._vectors.T, out=out)


def searched(
    left: NDArray[np.float32], order: SearchOrder, own: csr_matrix, *, left_out: NDArray[np.bool_],
    rows: NDArray[np.int64], width: int, length: int, room: NDArray[np.float32],
) -> Found[np.float32]:  # fmt: skip
    """Columns and values [shoppers, length] of the best by left @ vectors', best first, ties by lower column.

    The last number of each row of `left` is 1. `own` [shoppers, items]: what is added to scores; minus infinity for
    what is in this shopper's list never. `left_out` [items], by place of the order: what is in nobody's list. Only
    `rows` are searched for. Minus infinity is the value where nothing was found. `width`: items of a product, of which
    `room` takes the bounds of all shoppers. Raises ValueError for a score that is not a number.
    """
    found, values = nothing_found(len(left), length, np.dtype(np.float32))
    places = order.places[own.indices].astype(np.int32)
    _put_own(left, order.vectors, own.indptr, own.indices, places, own.data, left_out, found, values)
    lengths = np.sqrt(np.einsum("ij,ij->i", left[:, :-1], left[:, :-1]))
    # Bounds of the whole order hold every number; of one that is none a search would say nothing and end.
    if np.isnan(order.most(lengths, 0)).any():
        raise ValueError("a score is not a number")
    passed = np.zeros(len(left), dtype=np.int64)
    groups = [_Searching(left, order.vectors, order.slack(lengths), room)]
    groups += [_Searching(heads.of(left), heads.items, np.zeros_like(lengths), room) for heads in order.heads]
    groups[0].take(rows)
    for first in range(0, len(order.columns), width):
        for group in groups:
            goes_on = values[group.rows, -1] <= order.most(lengths[group.rows], first)
            if np.count_nonzero(goes_on) < _REST * len(group.rows):
                group.take(group.rows[goes_on])
        if first == width and order.heads:
            # Before a list is full every item would reach it.
            is_full = np.isfinite(values[groups[0].rows, -1])
            groups[-1].take(groups[0].rows[is_full])
            groups[0].take(groups[0].rows[~is_full])
        if not any(len(group.rows) for group in groups):
            break
        # Whole vectors first: a shopper who goes over to longer ones has been looked at already.
        for longer, group in zip([None, *groups], groups, strict=False):
            bounds = group.bounds(first, width)
            bounds[left_out[first : first + width]] = -np.inf
            _leave_own_out(bounds, group.rows, own.indptr, places, passed, first)
            edges = _edges(bounds, group, values)
            reached = _put_reaching(
                bounds, group, edges, left, order.vectors[first:], order.columns[first:], found, values
            )
            if longer is not None and len(many := np.flatnonzero(reached > _MANY * len(bounds))):
                longer.take(np.append(longer.rows, group.rows[many]))
                group.take(np.delete(group.rows, many))
    found[np.isneginf(values)] = 0
    return found, values


def _edges(bounds: NDArray[np.float32], group: _Searching, values: NDArray[np.float32]) -> NDArray[np.float32]:
    """What a bound has to reach. Of lists that are not full, of which bounds are scores but for their slack, it is the
    highest that so many strips of items reach."""
    edges = values[group.rows, -1] - group.slack
    if np.isinf(edges).any():
        strips = len(bounds) // DEPTH
        highest = bounds[: strips * DEPTH].reshape(strips, DEPTH, bounds.shape[1]).max(axis=1)
        _raise(edges, highest, group.slack, values.shape[1])
    return edges


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
def _leave_own_out(
    bounds: NDArray[np.float32], rows: NDArray[np.int64], ends: NDArray[np.int32], places: NDArray[np.int32],
    passed: NDArray[np.int64], first: int,
) -> None:  # fmt: skip
    """Minus infinity at shoppers' own items, which were put before. `passed` counts those of earlier products."""
    for column in range(len(rows)):
        row = rows[column]
        n = ends[row] + passed[row]
        while n < ends[row + 1] and places[n] < first + bounds.shape[0]:
            bounds[places[n] - first, column] = -np.inf
            n += 1
        passed[row] = n - ends[row]


@compiled
def _raise(edges: NDArray[np.float32], highest: NDArray[np.float32], slack: NDArray[np.float32], k: int) -> None:
    """Raises edges to the k-th highest of each column of maxima, [strips, rows], as far as those are to be trusted."""
    bounds, nowhere = np.full((len(edges), k), -np.inf, edges.dtype), np.zeros(k, np.int64)
    for strip in range(highest.shape[0]):
        for row in range(highest.shape[1]):
            if highest[strip, row] > bounds[row, -1]:
                put(bounds[row], nowhere, highest[strip, row], 0)
    for row in range(len(edges)):
        edges[row] = max(edges[row], bounds[row, -1] - 2 * slack[row])


def _put_reaching(
    bounds: NDArray[np.float32], group: _Searching, edges: NDArray[np.float32], left: NDArray[np.float32],
    vectors: NDArray[np.float32], columns: NDArray[np.int64], found: NDArray[np.int64], values: NDArray[np.float32],
) -> NDArray[np.int64]:  # fmt: skip
    """Puts the scores of items whose bounds reach their shopper's edge among the best; how many, by shopper.

    `bounds` [items, shoppers]; minus infinity reaches no list. A bound that is not a number says nothing, so its item
    is looked at.
    """
    is_below = np.ones(-(-bounds.size // _WORD) * _WORD, dtype=np.bool_)
    np.less(bounds, edges, out=is_below[: bounds.size].reshape(bounds.shape))
    words = np.flatnonzero(is_below.view(np.uint64) != _ALL_BELOW)
    reached = np.zeros(len(group.rows), dtype=np.int64)
    _look(
        is_below, words, bounds.ravel(), group.rows, edges, group.slack, left, vectors, columns, found, values, reached
    )
    return reached


@compiled
def _look(  # noqa: PLR0913 - a kernel takes plain arrays
    is_below: NDArray[np.bool_], words: NDArray[np.int64], bounds: NDArray[np.float32], rows: NDArray[np.int64],
    edges: NDArray[np.float32], slack: NDArray[np.float32], left: NDArray[np.float32], vectors: NDArray[np.float32],
    columns: NDArray[np.int64], found: NDArray[np.int64], values: NDArray[np.float32], reached: NDArray[np.int64],
) -> None:  # fmt: skip
    """Looks at the bounds, item by item, that are not below their edge: in the words of that number. Edges rise with
    the lists."""
    item, begin = 0, 0
    for word in words:
        for place in range(_WORD * word, _WORD * (word + 1)):
            if is_below[place]:
                continue
            while place >= begin + len(rows):
                item, begin = item + 1, begin + len(rows)
            n = place - begin
            if not bounds[place] < edges[n] and bounds[place] != -np.inf:
                row = rows[n]
                reached[n] += 1
                score = _score(left[row], vectors[item])
                if np.isnan(score):
                    raise ValueError("a score is not a number")
                if score >= edges[n]:
                    put(values[row], found[row], score, columns[item])
                    edges[n] = max(edges[n], values[row, -1] - slack[n])
