"""The order in which the best items are looked for, such that a search may end before the end of the catalogue."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from freshet.ranking.search.heads import Balance, Matrix, balance, squared
from freshet.ranking.search.shopper_clusters import FEWEST, Clusters, clusters

_ROUNDING = np.float32(1e-5)
"""Of a bound: what sums in single precision may be off by, several times over."""


@dataclass(frozen=True)
class SearchOrder:
    """Items by how much a product with them can give, the most first.

    columns, places [items]: the catalogue's column at each place of this order, and each column's place.
    vectors float32 [items, rank + 1]: in this order, the item vectors and last the item terms.
    length, term float32 [items + 1]: no vector at this place or later is longer, without its last number, and no item
    term is higher; behind the last place there is nothing.
    balance: of the vectors without their last numbers, in this order; None where they have no heads.
    """

    columns: NDArray[np.int64]
    places: NDArray[np.int64]
    vectors: NDArray[np.float32]
    length: NDArray[np.float32]
    term: NDArray[np.float32]
    balance: Balance | None

    def most(self, lengths: NDArray[np.float32], place: int) -> NDArray[np.float32]:
        """What items at `place` or later give at most to shoppers whose vectors are so long; by Cauchy and Schwarz."""
        bound = lengths * self.length[place] * (1 + _ROUNDING) + self.term[place]
        return np.asarray(bound + _ROUNDING * np.abs(self.term[place]), dtype=np.float32)

    @cached_property
    def _learned(self) -> list[Clusters | None]:
        return []

    def clusters(self, left: Matrix, length: int) -> Clusters | None:
        """Of shoppers [shoppers, rank + 1], whose last number is 1, for searches of lists of `length`: learned from the
        first who are many. None before, or where they are of no use."""
        if not self._learned and self.balance is not None and len(left) >= FEWEST:
            # Of two threads that do so at a time one is in vain.
            self._learned.append(clusters(left, self.vectors, self.balance, length=length))
        return self._learned[0] if self._learned else None

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
    lengths = np.sqrt(squared(vectors[:, :-1])).astype(np.float32)
    columns = np.argsort(-(np.float32(scale) * lengths + vectors[:, -1]), kind="stable")
    places = np.empty_like(columns)
    places[columns] = np.arange(len(columns))
    ordered = np.ascontiguousarray(vectors[columns])
    return SearchOrder(
        columns,
        places,
        ordered,
        _most_from(lengths[columns]),
        _most_from(vectors[columns, -1]),
        balance(ordered[:, :-1]),
    )


def _most_from(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """At each place the highest of it and all later ones; minus infinity behind the last."""
    return np.append(np.maximum.accumulate(values[::-1])[::-1], np.float32(-np.inf)).astype(np.float32)
