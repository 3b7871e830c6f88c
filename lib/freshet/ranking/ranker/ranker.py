"""A ranker: regression trees that correct the blend's scores of the best items of each shopper.

score = blend + sum of trees(features), for the `candidates` best items by the blend; a list has no others. The trees
are fitted with the blend as the score to start from, so no trees at all is the blend itself.
"""

import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from freshet.ranking.ranker.trees import Tree, Trees


@dataclass(frozen=True)
class Ranker:
    """`candidates`: how many items of a shopper are corrected, 1 or more; `features`: names of candidate_features.py,
    by the index that trees use; `trees`: at least one. `folds`: trees that were fitted without the shoppers of a fold
    (see `fold_of`), as many, or none: lists of these shoppers are judged by them on the days of the fit.
    """

    candidates: int
    features: tuple[str, ...]
    trees: tuple[Tree, ...]
    folds: tuple[tuple[Tree, ...], ...] = ()

    def __post_init__(self) -> None:
        if self.candidates < 1 or not self.trees:
            raise ValueError("a ranker needs candidates and trees")
        every = (self.trees, *self.folds)
        if any(not 0 <= feature < len(self.features) for trees in every for tree in trees for feature in tree.feature):
            raise ValueError("a ranker has a tree with a feature that is not named")

    @cached_property
    def correction(self) -> Trees:
        """The trees, ready to be summed."""
        return Trees(self.trees)

    def without_fold(self, fold: int) -> "Ranker":
        """The ranker that has not seen the shoppers of a fold."""
        return Ranker(self.candidates, self.features, self.folds[fold])

    @property
    def description(self) -> str:
        """The ranker in words."""
        return f"{len(self.trees)} trees over the best {self.candidates} items, by {', '.join(self.features)}"

    def to_values(self) -> dict[str, Any]:
        """The ranker as values of types that JSON supports."""
        return asdict(self)

    @staticmethod
    def from_values(values: Mapping[str, Any]) -> "Ranker":
        """The ranker of `to_values`. Raises ValueError for inconsistent values."""
        trees, *folds = (
            tuple(Tree.from_values(tree) for tree in each) for each in (values["trees"], *values.get("folds", ()))
        )
        return Ranker(int(values["candidates"]), tuple(values["features"]), trees, tuple(folds))


def fold_of(user_ids: pa.Array, folds: int) -> NDArray[np.int64]:
    """The fold of each shopper, from 0: the CRC-32 of the id modulo the number of folds, as from Spark's F.crc32."""
    return np.array([zlib.crc32(user_id.encode()) % folds for user_id in user_ids.to_pylist()], dtype=np.int64)
