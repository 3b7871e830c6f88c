"""A ranker: regression trees that correct the blend's scores of the best items of each shopper.

score = blend + sum of trees(features), for the `candidates` best items by the blend; a list has no others. The trees
are fitted with the blend as the score to start from, so no trees at all is the blend itself.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from freshet.ranking.ranker.trees import Tree, Trees


@dataclass(frozen=True)
class Ranker:
    """`candidates`: how many items of a shopper are corrected, 1 or more; `features`: names of candidate_features.py,
    by the index that trees use; `trees`: at least one."""

    candidates: int
    features: tuple[str, ...]
    trees: tuple[Tree, ...]

    def __post_init__(self) -> None:
        if self.candidates < 1 or not self.trees:
            raise ValueError("a ranker needs candidates and trees")
        if any(not 0 <= feature < len(self.features) for tree in self.trees for feature in tree.feature):
            raise ValueError("a ranker has a tree with a feature that is not named")

    @cached_property
    def correction(self) -> Trees:
        """The trees, ready to be summed."""
        return Trees(self.trees)

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
        trees = tuple(Tree.from_values(tree) for tree in values["trees"])
        return Ranker(int(values["candidates"]), tuple(values["features"]), trees)
