"""Clusters of shoppers by direction, with heads of all items for each: learned from some shoppers, used for all.

The shoppers of a cluster have far fewer principal axes than all shoppers; similarly MAXIMUS (Abuzaid et al., ICDE 2019)
has an order of items for each cluster. The lists do not depend on the clusters, only the time for finding them does.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from freshet.models.segments.lloyd import initial_centres
from freshet.ranking.search.heads import Balance, Matrix, heads, principal_axes, raised, squared

FEWEST = 2_000
"""Shoppers from whom clusters are learned: the work for each of them covers all items."""

_CLUSTERS, _SMALL_CLUSTERS = 8, 64
"""Clusters with heads, and small clusters with likely items. With sixteen of the former, for 5,000 shoppers, heads
exclude hardly more. The likely items of 8 small clusters give a tenth of the shoppers a list less than half as good as
theirs, those of 64 give them one nine tenths as good."""

_SEED, _STARTS, _STEPS = 20111209, 1, 4
"""Parameters of k-means."""

_LIKELY = 320
"""Likely items of a small cluster, which are scored first."""

_STEP = 8
"""Numbers that a processor handles at a time."""

_LONGEST, _LONGEST_SHARE = 96, 0.6
"""Most numbers of a head, absolute and as a share of a whole vector: longer heads save hardly anything."""

_SAMPLED_SHOPPERS, _SAMPLED_ITEMS = 32, 2048
"""Shoppers and items of the sample by which the length of heads is chosen."""

_MOST_NUMBERS = 100_000_000
"""Limit of the numbers in all heads of items, 400 MB: with more items there are fewer clusters."""


@dataclass(frozen=True, eq=False)
class Heads:
    """axes float32 [rank, number or more] for balanced vectors of shoppers, and heads of items with `number` axes."""

    axes: Matrix
    number: int
    items: Matrix

    def of(self, balanced: Matrix, squares: NDArray[np.float64]) -> Matrix:
        """Heads of shoppers [shoppers, rank] with these squared lengths; products with `items` are upper bounds."""
        return heads(balanced @ self.axes, self.number, squares, 1.0)


@dataclass(frozen=True)
class Clusters:
    """balance: applied to vectors before their heads are computed.

    centres float32 [clusters, rank], of length 1, and the heads of each cluster, None if they do not help.
    general: heads for shoppers who are far from all centres. small_centres, and for each of them the positions of the
    likely items, in rising order.
    """

    balance: Balance
    centres: Matrix
    heads: tuple[Heads | None, ...]
    general: tuple[Heads, ...]
    small_centres: Matrix
    likely: tuple[NDArray[np.int64], ...]

    def kinds(self, vectors: Matrix) -> Iterator[tuple[NDArray[np.int64], Heads]]:
        """Rows of vectors, and heads that can be used for their search."""
        for known in self.general:
            yield np.arange(len(vectors)), known
        for number, rows in _by_centre(vectors, self.centres):
            if (own := self.heads[number]) is not None:
                yield rows, own

    def starts(self, vectors: Matrix) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Rows of vectors, and positions of items that are likely for them."""
        for number, rows in _by_centre(vectors, self.small_centres):
            yield rows, self.likely[number]


def clusters(left: Matrix, vectors: Matrix, known: Balance, *, length: int) -> Clusters | None:
    """Clusters of shoppers [shoppers, rank + 1], whose last number is 1, for searches of lists of `length` among items
    [items, rank + 1], whose last number is their term. None if whole vectors are as good."""
    squares = squared(left[:, :-1])
    left = left[(squares > 0) & np.isfinite(squares)]
    most_clusters = _MOST_NUMBERS // (len(vectors) * min(_LONGEST, left.shape[1])) - 2
    if len(left) < FEWEST or most_clusters < 1:
        return None
    general = _heads(left, vectors, known, length, times=(1, 2))
    units = _units(left[:, :-1])
    centres = _centres(units, min(_CLUSTERS, most_clusters))
    own = [_heads(left[rows], vectors, known, length) for _, rows in _by_centre(units, centres)]
    if not general and not any(own):
        return None
    small = _centres(units, _SMALL_CLUSTERS)
    return Clusters(
        known, centres, tuple(each[0] if each else None for each in own), general, small,
        _likely(left, units, small, vectors),
    )  # fmt: skip


def _by_centre(vectors: Matrix, centres: Matrix) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Numbers of centres, each with the rows that are nearest to it by direction; centres without rows are skipped."""
    if not len(vectors):
        return  # np.split would give one part of no rows
    nearest = np.argmax(vectors @ centres.T, axis=1)
    order = np.argsort(nearest, kind="stable")
    numbers, starts = np.unique(nearest[order], return_index=True)
    yield from zip(numbers.tolist(), np.split(order, starts[1:]), strict=True)


def _centres(units: Matrix, number: int) -> Matrix:
    """At most this many centres, each of which is the nearest of some vector."""
    centres = _units(initial_centres(units, number, seed=_SEED, starts=_STARTS, steps=_STEPS))
    return centres[[place for place, _ in _by_centre(units, centres)]]


def _units(vectors: NDArray[np.floating]) -> Matrix:
    lengths = np.sqrt(squared(vectors))[:, None]
    return np.asarray(vectors / np.maximum(lengths, np.finfo(np.float32).tiny), dtype=np.float32)


def _heads(
    left: Matrix, vectors: Matrix, known: Balance, length: int, *, times: tuple[int, ...] = (1,)
) -> tuple[Heads, ...]:
    """Heads of the cheapest length, and of multiples of it; none if whole vectors cost less."""
    balanced = left[:, :-1] @ known.shoppers
    longest = int(_LONGEST_SHARE * balanced.shape[1]) // _STEP * _STEP
    axes = principal_axes(balanced, longest)
    cheapest = _cheapest(left, vectors, known, axes, length)
    if cheapest is None:
        return ()
    made = []
    for number in sorted({min(longest, many * cheapest) for many in times}):
        own = np.ascontiguousarray(axes[:, : 2 * number])
        along = vectors[:, :-1] @ (known.items @ own)
        made.append(Heads(own, number, heads(along, number, known.squares, raised(vectors[:, -1]))))
    return tuple(made)


def _likely(left: Matrix, units: Matrix, centres: Matrix, vectors: Matrix) -> tuple[NDArray[np.int64], ...]:
    """Positions, in rising order, of the items with the highest mean score for the shoppers of each centre, after all
    shoppers' vectors are scaled to the same length."""
    scaled = left / np.sqrt(squared(left[:, :-1]))[:, None].astype(np.float32)
    means = np.stack([scaled[rows].mean(axis=0) for _, rows in _by_centre(units, centres)])
    few = min(_LIKELY, len(vectors))
    return tuple(np.sort(np.argpartition(-scores, few - 1)[:few]) for scores in means @ vectors.T)


def _cheapest(left: Matrix, vectors: Matrix, known: Balance, axes: Matrix, length: int) -> int | None:
    """The number of axes with which a search costs least, by a sample of shoppers and items; None if whole vectors are
    cheapest."""
    items, whole = len(vectors), left.shape[1]
    mine = left[np.linspace(0, len(left) - 1, min(len(left), _SAMPLED_SHOPPERS)).astype(np.int64)]
    places = np.linspace(0, items - 1, min(items, _SAMPLED_ITEMS)).astype(np.int64)
    theirs, theirs_squared = vectors[places], known.squares[places]
    scores = mine @ theirs.T
    # A sample of the items contains about its share of a list.
    place = max(1, round(length * len(theirs) / items))
    edges = np.partition(scores, -place, axis=1)[:, -place, None]
    balanced = mine[:, :-1] @ known.shoppers
    squares, terms = squared(balanced), raised(theirs[:, -1])
    ours = np.asarray(balanced @ axes, np.float32)
    items_along = np.asarray(theirs[:, :-1] @ (known.items @ axes), np.float32)
    best, least = None, float(whole)
    for number in range(_STEP, min(_LONGEST, axes.shape[1]) + 1, _STEP):
        brief = heads(ours[:, : 2 * number], number, squares, 1.0)
        items_brief = heads(items_along[:, : 2 * number], number, theirs_squared, terms)
        cost = float(search_costs(brief.shape[1], whole, np.mean(brief @ items_brief.T >= edges)))
        if cost < least:
            best, least = number, cost
    return best


def search_costs(numbers: int, whole: int, reached: NDArray[np.floating] | np.floating) -> NDArray[np.floating]:
    """Cost per item of a search with vectors of `numbers` numbers, where the share `reached` of the items reaches the
    list and is scored with vectors of `whole` numbers. A unit is one multiplication, of which a processor does 60 in a
    ns; scoring an item takes some 10 ns at rank 64 and 25 at rank 256."""
    return np.asarray(numbers + (500.0 + 4.0 * whole) * reached)
