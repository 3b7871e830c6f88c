"""The order in which the best items are looked for, such that a search may end before the end of the catalogue, and
bounds of scores that cost a part of a product.

Item vectors are seen along the principal axes of the catalogue. The first of these, the head of a vector, hold most of
its length, and what the rest can give is at most the product of the two rests' lengths (Cauchy and Schwarz): heads,
with the length of the rest as one more number, give a bound of the score. As in FEXIPRO (Li, Chan, Yiu and Mamoulis,
SIGMOD 2017).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

_ROUNDING = np.float32(1e-5)
"""Of a bound: what sums in single precision may be off by, several times over."""

_RESTS = (0.1, 0.25)
"""Shares of the sum of squares of all item vectors that heads leave out. Of Gowalla's items those of rank 64 have then
40 numbers, of rank 256 144 and 80. Shorter heads make a product cheaper and have more items looked at."""

_LONGEST_HEAD = 0.7
"""Of the rank: where no axis stands out heads would be hardly shorter than the vectors, and leave nothing out."""

_STEP = 8
"""Numbers that a processor takes at a time."""


@dataclass(frozen=True)
class Heads:
    """The heads of a catalogue's vectors: axes float32 [rank, head], and items float32 [items, head + 2]: their heads,
    their terms and the lengths of their rests."""

    axes: NDArray[np.float32]
    items: NDArray[np.float32]

    def of(self, left: NDArray[np.float32]) -> NDArray[np.float32]:
        """[shoppers, head + 2]: products with `items` are not below those of left [shoppers, rank + 1], whose last
        number is 1, with the whole vectors."""
        return _heads(left, self.axes)


@dataclass(frozen=True)
class SearchOrder:
    """Items by how much a product with them can give, the most first.

    columns, places [items]: the catalogue's column at each place of this order, and each column's place.
    vectors float32 [items, rank + 1]: in this order, the item vectors and last the item terms.
    length, term float32 [items + 1]: no vector at this place or later is longer, without its last number, and no item
    term is higher; behind the last place there is nothing.
    heads: of the vectors, in this order, longer ones first; none where they would be of no use.
    """

    columns: NDArray[np.int64]
    places: NDArray[np.int64]
    vectors: NDArray[np.float32]
    length: NDArray[np.float32]
    term: NDArray[np.float32]
    heads: tuple[Heads, ...]

    def most(self, lengths: NDArray[np.float32], place: int) -> NDArray[np.float32]:
        """What items at `place` or later give at most to shoppers whose vectors are so long; by Cauchy and Schwarz."""
        bound = lengths * self.length[place] * (1 + _ROUNDING) + self.term[place]
        return np.asarray(bound + _ROUNDING * np.abs(self.term[place]), dtype=np.float32)

    @cached_property
    def _largest_term(self) -> np.float32:
        return np.float32(np.abs(self.vectors[:, -1]).max(initial=0))

    def slack(self, lengths: NDArray[np.float32]) -> NDArray[np.float32]:
        """What scores of shoppers whose vectors are so long may be off by, taken in two ways."""
        return np.asarray(_ROUNDING * (lengths * self.length[0] + self._largest_term), np.float32)


def search_order(vectors: NDArray[np.float32], *, scale: float) -> SearchOrder:
    """The order of item vectors [items, rank + 1], the last number of each the item term; equal ones by column.

    `scale`: about how long a shopper's vector is. It decides only how soon a search may end.
    """
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors[:, :-1], vectors[:, :-1]))
    columns = np.argsort(-(np.float32(scale) * lengths + vectors[:, -1]), kind="stable")
    places = np.empty_like(columns)
    places[columns] = np.arange(len(columns))
    ordered = np.ascontiguousarray(vectors[columns])
    heads = tuple(Heads(axes, _of_items(ordered, axes)) for axes in _axes(ordered[:, :-1]))
    return SearchOrder(columns, places, ordered, _most_from(lengths[columns]), _most_from(vectors[columns, -1]), heads)


def _axes(vectors: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """[rank, head] of each head: the principal axes that hold most of all vectors."""
    wide = vectors.astype(np.float64)
    gram = wide.T @ wide
    if not np.isfinite(gram).all():
        return []
    squares, axes = np.linalg.eigh(gram)
    rest = 1.0 - np.cumsum(squares[::-1]) / max(squares.sum(), np.finfo(np.float64).tiny)
    lengths = [-(-(np.searchsorted(-rest, -share) + 1) // _STEP) * _STEP for share in _RESTS]
    known = sorted({length for length in lengths if length <= _LONGEST_HEAD * vectors.shape[1]}, reverse=True)
    return [np.ascontiguousarray(axes[:, ::-1][:, :length], dtype=np.float32) for length in known]


def _of_items(vectors: NDArray[np.float32], axes: NDArray[np.float32]) -> NDArray[np.float32]:
    made = _heads(vectors, axes)
    made[:, -2] += _ROUNDING * np.abs(made[:, -2])
    return made


def _heads(vectors: NDArray[np.float32], axes: NDArray[np.float32]) -> NDArray[np.float32]:
    """[rows, head + 2] of vectors [rows, rank + 1]: their head, their last number, and the length of the rest."""
    made = np.empty((len(vectors), axes.shape[1] + 2), dtype=np.float32)
    np.matmul(vectors[:, :-1], axes, out=made[:, :-2])
    made[:, -2] = vectors[:, -1]
    squares = np.einsum("ij,ij->i", vectors[:, :-1], vectors[:, :-1])
    rest = squares - np.einsum("ij,ij->i", made[:, :-2], made[:, :-2])
    # As if there were one more axis along which all vectors are as long as their rounding: a product of two such
    # lengths is above that of the rests by that share of the product of whole lengths, however short a rest is.
    made[:, -1] = np.sqrt(np.maximum(rest, 0) + _ROUNDING * squares)
    return made


def _most_from(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """At each place the highest of it and all later ones; minus infinity behind the last."""
    return np.append(np.maximum.accumulate(values[::-1])[::-1], np.float32(-np.inf)).astype(np.float32)
