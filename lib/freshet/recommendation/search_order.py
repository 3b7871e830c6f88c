"""The order in which the best items are looked for, such that a search may end before the end of the catalogue."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_ROUNDING = np.float32(1e-5)
"""Of a bound: what sums in single precision may be off by, several times over."""


@dataclass(frozen=True)
class SearchOrder:
    """Items by how much a product with them can give, the most first.

    columns, places [items]: the catalogue's column at each place of this order, and each column's place.
    vectors float32 [items, rank + 1]: in this order, the item vectors and last the item terms.
    length, term float32 [items + 1]: no vector at this place or later is longer, without its last number, and no item
    term is higher; behind the last place there is nothing.
    """

    columns: NDArray[np.int64]
    places: NDArray[np.int64]
    vectors: NDArray[np.float32]
    length: NDArray[np.float32]
    term: NDArray[np.float32]

    def most(self, lengths: NDArray[np.float32], place: int) -> NDArray[np.float32]:
        """What items at `place` or later give at most to shoppers whose vectors are so long; by Cauchy and Schwarz."""
        bound = lengths * self.length[place] * (1 + _ROUNDING) + self.term[place]
        return np.asarray(bound + _ROUNDING * np.abs(self.term[place]), dtype=np.float32)


def search_order(vectors: NDArray[np.float32], *, scale: float) -> SearchOrder:
    """The order of item vectors [items, rank + 1], the last number of each the item term; equal ones by column.

    `scale`: about how long a shopper's vector is. It decides only how soon a search may end.
    """
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors[:, :-1], vectors[:, :-1]))
    columns = np.argsort(-(np.float32(scale) * lengths + vectors[:, -1]), kind="stable")
    places = np.empty_like(columns)
    places[columns] = np.arange(len(columns))
    return SearchOrder(
        columns, places, np.ascontiguousarray(vectors[columns]),
        _most_from(lengths[columns]), _most_from(vectors[columns, -1]),
    )  # fmt: skip


def _most_from(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """At each place the highest of it and all later ones; minus infinity behind the last."""
    return np.append(np.maximum.accumulate(values[::-1])[::-1], np.float32(-np.inf)).astype(np.float32)
