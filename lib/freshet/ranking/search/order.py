"""The order in which a search processes items, so that it can end before the end of the catalogue."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from freshet.ranking.search.heads import Balance, Matrix, balance, squared
from freshet.ranking.search.shopper_clusters import FEWEST, Clusters, clusters

_ROUNDING = np.float32(1e-5)
"""Relative margin of a bound: several times the rounding error of sums in single precision."""


@dataclass(frozen=True)
class SearchOrder:
    """Items sorted by the highest score that they can reach, the highest first.

    columns, places [items]: the catalogue's column at each position of this order, and each column's position.
    vectors float32 [items, rank + 1]: in this order, the item vectors and last the item terms.
    length, term float32 [items + 1]: the maximal length, without the last number, and the highest item term at this
    position or later; the last element is for the end.
    balance: that of the vectors without their last numbers, in this order; None if they have no heads.
    """

    columns: NDArray[np.int64]
    places: NDArray[np.int64]
    vectors: NDArray[np.float32]
    length: NDArray[np.float32]
    term: NDArray[np.float32]
    balance: Balance | None

    def most(self, lengths: NDArray[np.float32], place: int) -> NDArray[np.float32]:
        """The highest score of items at `place` or later for shoppers' vectors of these lengths; Cauchy-Schwarz."""
        bound = lengths * self.length[place] * (1 + _ROUNDING) + self.term[place]
        return np.asarray(bound + _ROUNDING * np.abs(self.term[place]), dtype=np.float32)

    @cached_property
    def _learned(self) -> list[Clusters | None]:
        return []

    def clusters(self, left: Matrix, length: int) -> Clusters | None:
        """Clusters of shoppers [shoppers, rank + 1], whose last number is 1, for searches of lists of `length`. They
        are learned from the first large enough block. None before that, or if they do not help."""
        if not self._learned and self.balance is not None and len(left) >= FEWEST:
            # If two threads do so at the same time, one of them works in vain.
            self._learned.append(clusters(left, self.vectors, self.balance, length=length))
        return self._learned[0] if self._learned else None

    @cached_property
    def _largest_term(self) -> np.float32:
        return np.float32(np.abs(self.vectors[:, -1]).max(initial=0))

    def slack(self, lengths: NDArray[np.float32]) -> NDArray[np.float32]:
        """The largest difference between two ways of computing scores for vectors of these lengths."""
        return np.asarray(_ROUNDING * (lengths * self.length[0] + self._largest_term), np.float32)


def search_order(vectors: NDArray[np.float32], *, scale: float) -> SearchOrder:
    """The order of item vectors [items, rank + 1], whose last number is the item term; equal ones by column.

    `scale`: the approximate length of a shopper's vector. It affects only how soon a search can end.
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
    """At each index the maximum of it and all later values; minus infinity after the last."""
    return np.append(np.maximum.accumulate(values[::-1])[::-1], np.float32(-np.inf)).astype(np.float32)
