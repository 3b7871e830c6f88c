"""One scoring function for batch and stream: histories in, scores of all items out.

score = w_f * standardised x'y + sum of w * item models + sum of w * own terms + sum of w * item terms,
minus infinity for items that the policy leaves out, and for those that cannot be had. Of an item model each shopper's
value of largest size is scaled to 1. Weights come from the recipe in the artifact.

Of a shopper without known items there would be the item terms alone, which a search may weigh below 0 to correct the
other terms, or leave out: recent popularity takes their place, whatever its weight.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from freshet.numeric.row_kernels import add_rows, add_scaled_product
from freshet.ranking.artifact import Artifact
from freshet.ranking.history_block import HistoryBlock
from freshet.ranking.recipe import FACTORS
from freshet.ranking.search.order import SearchOrder
from freshet.ranking.terms import factor_scale, item_model_inputs, own_scores, shopper_factors

NOTHING: NDArray[np.int64] = np.empty(0, dtype=np.int64)


class ModelPart(NamedTuple):
    """What an item model has added to scores: inputs [shoppers, items] times its weights, times a factor by shopper."""

    inputs: csr_matrix
    factors: NDArray[np.float32]


@dataclass(frozen=True)
class ScoredBlock:
    """What scores [shoppers, items] are the sum of, weighted; reasons are read from it.

    left @ right' is all that is dense; the last number of a row of `right` is that of the item terms, `item_part`
    [items]. For a search `right` is None, and `order` has the same rows. `whole`: that product and what item models
    add, where there is one. `left_out`: minus infinity where an item is not for this shopper; `unavailable`: columns
    that are for nobody, in rising order. `room` takes the sums. Rows `cold`, None where there are none, are not that
    sum but `popularity` [items].
    """

    left: NDArray[np.float32]
    right: NDArray[np.float32] | None
    order: SearchOrder | None
    item_part: NDArray[np.float32]
    whole: NDArray[np.float32] | None
    model_parts: dict[str, ModelPart]
    own_part: csr_matrix | None
    left_out: csr_matrix | None
    unavailable: NDArray[np.int64]
    room: NDArray[np.float32]
    cold: NDArray[np.bool_] | None
    popularity: NDArray[np.float32]

    def rows(self) -> NDArray[np.float32]:
        """Scores [shoppers, items]. To be called once: sums are taken in `room`. Not of a block for a search."""
        scores = self.whole
        if scores is None:
            assert self.right is not None
            scores = _product(self.left, self.right, self.room)
        if self.cold is not None:
            np.copyto(scores, self.popularity, where=self.cold[:, None])
        for part in (self.own_part, self.left_out):
            if part is not None:
                add_rows(scores, part)
        scores[:, self.unavailable] = -np.inf
        return scores

    def own(self) -> csr_matrix:
        """All that is added to scores by shopper and item, [shoppers, items]."""
        parts = [part for part in (self.own_part, self.left_out) if part is not None]
        return (
            sum(parts[1:], parts[0]) if parts else csr_matrix((len(self.left), len(self.item_part)), dtype=np.float32)
        )


def has_whole_rows(artifact: Artifact, policy: str) -> bool:
    """Whether scores need the room of whole rows: an item model's largest value, by which it is scaled, may be at any
    item."""
    return any(artifact.recipe.weights[policy].get(model, 0.0) for model in artifact.item_weights)


def scored(
    block: HistoryBlock,
    artifact: Artifact,
    *,
    policy: str,
    room: NDArray[np.float32],
    unavailable: NDArray[np.int64] = NOTHING,
    for_search: bool = False,
) -> ScoredBlock:
    """Scores by the recipe's weights of `policy`; of shoppers without known items recent popularity, where the artifact
    has it. Under new_items a shopper's target items are minus infinity, and so are, for everybody, the columns
    `unavailable`.

    `room` takes the scores: as many numbers as shoppers times items, or `for_search`, which excludes `has_whole_rows`,
    times the items of a product. New memory for each block of shoppers costs as much as to fill it.
    """
    recipe = artifact.recipe
    weights = recipe.weights[policy]
    left = _dense_part(block, artifact, weights.get(FACTORS, 0.0))
    right, order = (None, artifact.search_order(policy)) if for_search else (artifact.dense(policy), None)
    whole = _product(left, right, room) if right is not None and has_whole_rows(artifact, policy) else None
    model_parts = {}
    for model in artifact.item_weights:
        if whole is not None and weights.get(model, 0.0):
            inputs = item_model_inputs(model, block, artifact)
            factors = add_scaled_product(whole, inputs, artifact.item_weights[model], weights[model])
            model_parts[model] = ModelPart(inputs, factors)
    own_part = None
    for name, term in own_scores(block, recipe).items():
        if weights.get(name, 0.0):
            weighted = term * np.float32(weights[name])
            own_part = weighted if own_part is None else own_part + weighted
    left_out = None
    if policy == "new_items":
        left_out = block.touched(recipe.target_code)
        left_out.data[:] = -np.inf
    cold, popularity = _cold(block, artifact)
    return ScoredBlock(
        left, right, order, artifact.item_part(policy), whole, model_parts, own_part, left_out, np.sort(unavailable),
        room, cold, popularity,
    )  # fmt: skip


def _cold(block: HistoryBlock, artifact: Artifact) -> tuple[NDArray[np.bool_] | None, NDArray[np.float32]]:
    """Which rows are of shoppers without known items, and the scores of their items; None where no row is."""
    popularity = artifact.recent_popularity
    if popularity is None:
        return None, np.empty(0, dtype=np.float32)
    cold = np.bincount(block.row, minlength=block.shoppers) == 0
    return (cold if cold.any() else None), popularity


def _dense_part(block: HistoryBlock, artifact: Artifact, weight: float) -> NDArray[np.float32]:
    """[shoppers, rank + 1] whose product with Artifact.dense is weight * standardised x'y + the item terms."""
    left = np.zeros((block.shoppers, artifact.factors.shape[1] + 1), np.float32)
    left[:, -1] = 1.0
    if weight and artifact.recipe.als is not None:
        vectors = shopper_factors(block, artifact)
        _, deviation = factor_scale(vectors, artifact)
        left[:, :-1] = np.float32(weight) * vectors / deviation[:, None]
    return left


def _product(
    left: NDArray[np.float32], right: NDArray[np.float32], room: NDArray[np.float32]
) -> NDArray[np.float32]:  # fmt: skip
    """left @ right', in `room`. NumPy's product gives Python's lock to other threads, SciPy's does not."""
    cells = room[: len(left) * len(right)].reshape(len(left), len(right))
    return np.matmul(left, right.T, out=cells)
