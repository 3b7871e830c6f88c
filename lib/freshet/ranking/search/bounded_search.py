"""The exact best items of shoppers, without looking at items that cannot be among them.

Items are processed in parts, in the order of the highest score that they can reach. A shopper is done when the list so
far is better than anything that the remaining items can reach. A shopper's own items, which have further contributions,
are scored first, individually. With many shoppers the items follow that are best for shoppers with similar vectors, so
that lists are good from the start.

For all other items, products give bounds: of whole vectors, or of heads, which cost less and exclude less. An item
whose bound reaches a shopper's list is scored. So every score comes from one sum, independent of how the products were
cut, and equal items have equal scores.
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
"""Most shoppers of a product. With two busy cores a list of 41,000 items took each core 24 us at rank 64 and 59 us at
rank 256, and the same within 5 % with 512 to 2,048 shoppers and 640 to 2,560 items."""

_REST = 0.9
"""Share of the shoppers of a product who still search; below it the others are removed. That copies vectors, which
costs a small part of the time of a product."""

_SAMPLED = 256
"""Items by which the kind of vectors for a shopper is chosen."""

_ALL_BELOW = np.uint64(0x0101010101010101)
"""A word of truth values that are all true."""


class _Searching:
    """Shoppers who search by one kind of vectors; bounds by them may be off by `slack`."""

    def __init__(self, rows: NDArray[np.int64], left: Matrix, right: Matrix, slack: Matrix, buffer: Matrix) -> None:
        self.rows, self.slack, self._left, self._right, self._buffer = rows, slack, left, right, buffer

    def keep(self, places: NDArray[np.bool_]) -> None:
        """Continues with the shoppers at these indices."""
        self.rows, self.slack, self._left = self.rows[places], self.slack[places], self._left[places]

    def bounds(self, part: slice) -> Matrix:
        """Bounds of a part of the items, [items, shoppers]."""
        right = self._right[part]
        out = self._buffer[: len(right) * len(self.rows)].reshape(len(right), len(self.rows))
        return np.matmul(right, self._left.T, out=out)


class _Search:
    """The lists so far: `found` and `values` as `searched` returns them. `buffer` is for the bounds of `width` items
    for TOGETHER shoppers."""

    def __init__(
        self, left: Matrix, order: SearchOrder, own: csr_matrix, left_out: NDArray[np.bool_], length: int,
        width: int, buffer: Matrix,
    ) -> None:  # fmt: skip
        self.left, self.order, self.left_out, self.ends = left, order, left_out, own.indptr
        self.width, self.buffer = width, buffer
        self.found, self.values = nothing_found(len(left), length, np.dtype(np.float32))
        self.places = order.places[own.indices].astype(np.int32)
        put_own(left, order.vectors, own.indptr, own.indices, self.places, own.data, left_out, self.found, self.values)
        self.lengths = np.sqrt(squared(left[:, :-1])).astype(np.float32)
        # The bounds of the whole order depend on every number; a search with NaN would end without a result.
        if np.isnan(order.most(self.lengths, 0)).any():
            raise ValueError("a score is not a number")
        self.slack = order.slack(self.lengths)
        self.passed = np.zeros(len(left), dtype=np.int64)

    def likely(self, rows: NDArray[np.int64], likely: NDArray[np.int64]) -> None:
        """Adds the scores of the items at these positions of the order."""
        vectors = self.order.vectors[likely]
        for mine in _together(rows):
            searching = _Searching(mine, self.left[mine], vectors, self.slack[mine], self.buffer)
            bounds = searching.bounds(slice(None))
            bounds[self.left_out[likely]] = -np.inf
            leave_out_chosen(bounds, mine, self.ends, self.places, likely)
            self._put(bounds, searching, vectors, self.order.columns[likely])

    def by_kind(
        self, rows: NDArray[np.int64], known: Clusters, balanced: Matrix, squares: NDArray[np.float64]
    ) -> Iterator[tuple[NDArray[np.int64], Heads | None]]:
        """Rows of shoppers, and the heads with which their search costs least, estimated on a sample of the items; None
        means whole vectors, which are also used for lists that are not full."""
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
        """Processes the order with these vectors of the shoppers at `rows` and of the items."""
        for part in _together(np.arange(len(rows))):
            searching = _Searching(rows[part], left[part], right, slack[part], self.buffer)
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
        """Adds the scores of items whose bounds reach their shopper's list.

        `bounds` [items, shoppers]; minus infinity reaches no list. A bound that is NaN excludes nothing, so its item is
        scored.
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
        """The value that a bound must reach. For lists that are not full, whose bounds are scores up to their slack, it
        is the highest value that enough strips of items reach."""
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
    width: int, length: int, buffer: Matrix,
) -> Found[np.float32]:  # fmt: skip
    """Columns and values [shoppers, length] of the best by left @ vectors', best first, ties by lower column.

    The last number of each row of `left` is 1. `own` [shoppers, items]: contributions that are added to scores; minus
    infinity for items that are excluded for the shopper. `left_out` [items], in the order of the search: items that are
    in no list. Only lists of `rows` are searched. The value is minus infinity where nothing was found. `width`: items
    of a product; `buffer` holds the bounds of TOGETHER shoppers, or of all if they are fewer. Raises ValueError for a
    score that is not a number.
    """
    search = _Search(left, order, own, left_out, length, width, buffer)
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
