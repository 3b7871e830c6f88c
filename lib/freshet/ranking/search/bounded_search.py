"""The best items of shoppers, exact, without a look at items that cannot be among them.

Items come in the order of what they can give at most, some at a time. A shopper whose list so far is better than what
is left can give is done. A shopper's own items, to which more is added, are scored first, one by one; then, among many
shoppers, the items that others whose vectors are alike get most from, so that lists are good from the start.

Of the others products give bounds: of whole vectors, or of heads, which cost less and leave out less. What reaches a
shopper's list by its bound is scored. So scores come from one sum, whatever the products were cut into, and equal items
have equal scores.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from freshet.numeric.top_k import DEPTH, Found, nothing_found
from freshet.ranking.search.heads import Matrix, squared
from freshet.ranking.search.kernels import WORD, leave_out, leave_out_chosen, look, put_own, raise_edges
from freshet.ranking.search.order import SearchOrder
from freshet.ranking.search.shopper_clusters import Clusters, Heads, search_costs

TOGETHER = 1024
"""Shoppers of a product at most. Of each of two busy cores a list of 41,000 items of rank 64 and 256 took 24 and 59 us,
and as long within a twentieth with 512 to 2,048 of them and 640 to 2,560 items."""

_REST = 0.9
"""Share of the shoppers of a product who still search; with fewer the others are taken out of it. That copies vectors,
a small part of what the product takes."""

_SAMPLED = 256
"""Items by which a shopper's kind of vectors is chosen."""

_ALL_BELOW = np.uint64(0x0101010101010101)
"""A word of truth values that are all true."""


class _Searching:
    """Shoppers who search by one kind of vectors; bounds by them may be off by `slack`."""

    def __init__(self, rows: NDArray[np.int64], left: Matrix, right: Matrix, slack: Matrix, room: Matrix) -> None:
        self.rows, self.slack, self._left, self._right, self._room = rows, slack, left, right, room

    def keep(self, places: NDArray[np.bool_]) -> None:
        """Goes on with the shoppers at these places."""
        self.rows, self.slack, self._left = self.rows[places], self.slack[places], self._left[places]

    def bounds(self, part: slice) -> Matrix:
        """Of a part of the items, [items, shoppers]."""
        right = self._right[part]
        out = self._room[: len(right) * len(self.rows)].reshape(len(right), len(self.rows))
        return np.matmul(right, self._left.T, out=out)


class _Search:
    """Lists that become better: `found` and `values` as `searched` returns them. `room` is for the bounds of `width`
    items of TOGETHER shoppers."""

    def __init__(
        self, left: Matrix, order: SearchOrder, own: csr_matrix, left_out: NDArray[np.bool_], length: int,
        width: int, room: Matrix,
    ) -> None:  # fmt: skip
        self.left, self.order, self.left_out, self.ends = left, order, left_out, own.indptr
        self.width, self.room = width, room
        self.found, self.values = nothing_found(len(left), length, np.dtype(np.float32))
        self.places = order.places[own.indices].astype(np.int32)
        put_own(left, order.vectors, own.indptr, own.indices, self.places, own.data, left_out, self.found, self.values)
        self.lengths = np.sqrt(squared(left[:, :-1])).astype(np.float32)
        # Bounds of the whole order hold every number; of one that is none a search would say nothing and end.
        if np.isnan(order.most(self.lengths, 0)).any():
            raise ValueError("a score is not a number")
        self.slack = order.slack(self.lengths)
        self.passed = np.zeros(len(left), dtype=np.int64)

    def likely(self, rows: NDArray[np.int64], likely: NDArray[np.int64]) -> None:
        """Puts the scores of items at these places of the order."""
        vectors = self.order.vectors[likely]
        for mine in _together(rows):
            searching = _Searching(mine, self.left[mine], vectors, self.slack[mine], self.room)
            bounds = searching.bounds(slice(None))
            bounds[self.left_out[likely]] = -np.inf
            leave_out_chosen(bounds, mine, self.ends, self.places, likely)
            self._put(bounds, searching, vectors, self.order.columns[likely])

    def by_kind(
        self, rows: NDArray[np.int64], known: Clusters, balanced: Matrix, squares: NDArray[np.float64]
    ) -> Iterator[tuple[NDArray[np.int64], Heads | None]]:
        """Rows of shoppers, and the heads by which a search for them costs least, by a sample of the items; None: whole
        vectors, as for lists that are not full."""
        edges, whole = self.values[rows, -1], self.left.shape[1]
        sample = slice(0, len(self.left_out) // 2, max(1, len(self.left_out) // (2 * _SAMPLED)))
        least, chosen = np.full(len(rows), whole, np.float64), np.full(len(rows), -1)
        kinds = list(known.kinds(self.left[rows, :-1]))
        for number, (mine, heads) in enumerate(kinds):
            bounds = heads.items[sample] @ heads.of(balanced[mine], squares[mine]).T
            costs = search_costs(heads.items.shape[1], whole, np.mean(bounds >= edges[mine], axis=0))
            is_less = (costs < least[mine]) & np.isfinite(edges[mine])
            least[mine[is_less]], chosen[mine[is_less]] = costs[is_less], number
        yield np.flatnonzero(chosen == -1), None
        for number, (_, heads) in enumerate(kinds):
            yield np.flatnonzero(chosen == number), heads

    def through(self, rows: NDArray[np.int64], left: Matrix, right: Matrix, slack: Matrix) -> None:
        """Goes through the order by these vectors of shoppers, who are at `rows`, and items."""
        for part in _together(np.arange(len(rows))):
            searching = _Searching(rows[part], left[part], right, slack[part], self.room)
            for first in range(0, len(self.left_out), self.width):
                goes_on = self.values[searching.rows, -1] <= self.order.most(self.lengths[searching.rows], first)
                if np.count_nonzero(goes_on) < _REST * len(goes_on):
                    searching.keep(goes_on)
                if not len(searching.rows):
                    break
                self._part(searching, slice(first, first + self.width))

    def _part(self, searching: _Searching, part: slice) -> None:
        bounds = searching.bounds(part)
        bounds[self.left_out[part]] = -np.inf
        leave_out(bounds, searching.rows, self.ends, self.places, self.passed, part.start)
        self._put(bounds, searching, self.order.vectors[part], self.order.columns[part])

    def _put(self, bounds: Matrix, searching: _Searching, vectors: Matrix, columns: NDArray[np.int64]) -> None:
        """Puts the scores of items whose bounds reach their shopper's list among the best.

        `bounds` [items, shoppers]; minus infinity reaches no list. A bound that is not a number says nothing, so its
        item is looked at.
        """
        edges = self._edges(bounds, searching)
        is_below = np.ones(-(-bounds.size // WORD) * WORD, dtype=np.bool_)
        np.less(bounds, edges, out=is_below[: bounds.size].reshape(bounds.shape))
        words = np.flatnonzero(is_below.view(np.uint64) != _ALL_BELOW)
        look(
            is_below, words, bounds.ravel(), searching.rows, edges, searching.slack, self.left, vectors,
            columns, self.found, self.values,
        )  # fmt: skip

    def _edges(self, bounds: Matrix, searching: _Searching) -> Matrix:
        """What a bound has to reach. Of lists that are not full, of which bounds are scores but for their slack, it is
        the highest that so many strips of items reach."""
        length = self.values.shape[1]
        edges = self.values[searching.rows, -1] - searching.slack
        if np.isinf(edges).any():
            depth = max(1, min(DEPTH, len(bounds) // (2 * length)))
            strips = len(bounds) // depth
            highest = bounds[: strips * depth].reshape(strips, depth, bounds.shape[1]).max(axis=1)
            raise_edges(edges, highest, searching.slack, length)
        return edges


def searched(
    left: Matrix, order: SearchOrder, own: csr_matrix, *, left_out: NDArray[np.bool_], rows: NDArray[np.int64],
    width: int, length: int, room: Matrix,
) -> Found[np.float32]:  # fmt: skip
    """Columns and values [shoppers, length] of the best by left @ vectors', best first, ties by lower column.

    The last number of each row of `left` is 1. `own` [shoppers, items]: what is added to scores; minus infinity for
    what is in this shopper's list never. `left_out` [items], by place of the order: what is in nobody's list. Only
    `rows` are searched for. Minus infinity is the value where nothing was found. `width`: items of a product, of which
    `room` takes the bounds of TOGETHER shoppers, or of all if they are fewer. Raises ValueError for a score that is not
    a number.
    """
    search = _Search(left, order, own, left_out, length, width, room)
    mine, slack = left[rows], search.slack[rows]
    known = order.clusters(mine, length)
    if known is None:
        search.through(rows, mine, order.vectors, slack)
    else:
        for some, likely in known.starts(mine[:, :-1]):
            search.likely(rows[some], likely)
        balanced = mine[:, :-1] @ known.balance.shoppers
        squares = squared(balanced)
        for some, heads in search.by_kind(rows, known, balanced, squares):
            if heads is None:
                search.through(rows[some], mine[some], order.vectors, slack[some])
            else:
                brief = heads.of(balanced[some], squares[some])
                search.through(rows[some], brief, heads.items, np.zeros_like(slack[some]))
    search.found[np.isneginf(search.values)] = 0
    return search.found, search.values


def _together(rows: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    return (rows[start : start + TOGETHER] for start in range(0, len(rows), TOGETHER))
