"""Regression trees, summed by a compiled kernel, so that lists need neither the library that fitted them nor its
threads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from freshet.numeric.compiled import compiled


@dataclass(frozen=True)
class Tree:
    """A tree of inner nodes: node n goes to `left[n]` where feature `feature[n]` is at most `threshold[n]`, else to
    `right[n]`. A child is an inner node, or if negative the leaf -child - 1 of `value`; the root is node 0. A tree
    without inner nodes has one leaf."""

    feature: tuple[int, ...]
    threshold: tuple[float, ...]
    left: tuple[int, ...]
    right: tuple[int, ...]
    value: tuple[float, ...]

    def __post_init__(self) -> None:
        nodes, leaves = len(self.feature), len(self.value)
        children = [*self.left, *self.right]
        if not nodes == len(self.threshold) == len(self.left) == len(self.right) == leaves - 1:
            raise ValueError(f"a tree of {nodes} inner nodes and {leaves} leaves is not binary")
        if any(not -leaves <= child < nodes for child in children) or len(set(children)) < len(children):
            raise ValueError("a tree has a child that is not there, or twice")

    @staticmethod
    def from_values(values: Mapping[str, Sequence[Any]]) -> "Tree":
        """The tree of `asdict`, whose sequences may be lists."""
        return Tree(**{name: tuple(numbers) for name, numbers in values.items()})


class _Nodes(NamedTuple):
    """All trees as flat arrays; a child is an index of a node, or if negative of a leaf as in Tree."""

    roots: NDArray[np.int64]
    feature: NDArray[np.int64]
    threshold: NDArray[np.float64]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    value: NDArray[np.float64]


@dataclass(frozen=True)
class Trees:
    """The sum of trees."""

    trees: tuple[Tree, ...]

    @cached_property
    def _nodes(self) -> _Nodes:
        nodes = leaves = 0
        roots: list[int] = []
        left: list[int] = []
        right: list[int] = []
        for tree in self.trees:
            roots.append(nodes if tree.feature else -leaves - 1)
            for children, found in ((tree.left, left), (tree.right, right)):
                found += [child + nodes if child >= 0 else child - leaves for child in children]
            nodes, leaves = nodes + len(tree.feature), leaves + len(tree.value)
        return _Nodes(
            np.array(roots, np.int64),
            np.array([feature for tree in self.trees for feature in tree.feature], np.int64),
            np.array([threshold for tree in self.trees for threshold in tree.threshold], np.float64),
            np.array(left, np.int64),
            np.array(right, np.int64),
            np.array([value for tree in self.trees for value in tree.value], np.float64),
        )

    def sums(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """[rows]: the sum of all trees for each row of [rows, features]. Features are never NaN."""
        found = np.zeros(len(features), dtype=np.float32)
        if self.trees:
            _add_up(np.ascontiguousarray(features), *self._nodes, found)
        return found


@compiled
def _add_up(
    features: NDArray[np.float32],
    roots: NDArray[np.int64], feature: NDArray[np.int64], threshold: NDArray[np.float64],
    left: NDArray[np.int64], right: NDArray[np.int64], value: NDArray[np.float64], found: NDArray[np.float32],
) -> None:  # fmt: skip
    for row in range(len(features)):
        total = 0.0
        for root in roots:
            node = root
            while node >= 0:
                node = left[node] if features[row, feature[node]] <= threshold[node] else right[node]
            total += value[-node - 1]
        found[row] = total
