"""One scoring function for batch and stream: histories in, scores of all items out.

score = w_f * standardised x'y + sum of w * item models + sum of w * own terms + sum of w * item terms,
minus infinity for items that the policy leaves out, and for those that cannot be had. Of an item model each shopper's
value of largest size is scaled to 1. Weights come from the recipe in the artifact.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from freshet.recommendation.artifact import Artifact
from freshet.recommendation.history_block import HistoryBlock
from freshet.recommendation.recipe import FACTORS
from freshet.recommendation.row_kernels import add_rows, add_scaled_product
from freshet.recommendation.terms import factor_scale, item_model_inputs, own_scores, shopper_factors

NOTHING: NDArray[np.int64] = np.empty(0, dtype=np.int64)


class ModelPart(NamedTuple):
    """What an item model has added to scores: inputs [shoppers, items] times its weights, times a factor by shopper."""

    inputs: csr_matrix
    factors: NDArray[np.float32]


@dataclass(frozen=True)
class ScoredBlock:
    """Scores [shoppers, items] and their weighted parts, from which reasons are read; those of item models by name."""

    scores: NDArray[np.float32]
    item_part: NDArray[np.float32]
    model_parts: dict[str, ModelPart]
    own_part: csr_matrix | None


def scored(
    block: HistoryBlock,
    artifact: Artifact,
    *,
    policy: str,
    unavailable: NDArray[np.int64] = NOTHING,
    room: NDArray[np.float32] | None = None,
) -> ScoredBlock:
    """Scores by the recipe's weights of `policy`. Under new_items a shopper's target items are minus infinity, and so
    are, for everybody, the columns `unavailable`.

    `room`, [shoppers or more, items], takes the scores where it is given: new memory for each block of shoppers costs
    as much as to fill it.
    """
    recipe = artifact.recipe
    weights = recipe.weights[policy]
    items = artifact.dense(policy)
    scores = _dense_part(block, artifact, items, weights.get(FACTORS, 0.0), room)
    model_parts = {}
    for model in artifact.item_weights:
        if weights.get(model, 0.0):
            inputs = item_model_inputs(model, block, artifact)
            factors = add_scaled_product(scores, inputs, artifact.item_weights[model], weights[model])
            model_parts[model] = ModelPart(inputs, factors)
    own_part = None
    for name, term in own_scores(block, recipe).items():
        if weights.get(name, 0.0):
            weighted = term * np.float32(weights[name])
            own_part = weighted if own_part is None else own_part + weighted
    if own_part is not None:
        add_rows(scores, own_part)
    if policy == "new_items":
        seen = block.touched(recipe.target_code).tocoo()
        scores[seen.row, seen.col] = -np.inf
    scores[:, unavailable] = -np.inf
    return ScoredBlock(scores, items[:, -1], model_parts, own_part)


def _dense_part(
    block: HistoryBlock,
    artifact: Artifact,
    items: NDArray[np.float32],
    weight: float,
    room: NDArray[np.float32] | None,
) -> NDArray[np.float32]:
    """weight * standardised x'y + the item terms, [shoppers, items], from `items` as of Artifact.dense."""
    scores = np.empty((block.shoppers, block.items), np.float32) if room is None else room[: block.shoppers]
    if not weight or artifact.recipe.als is None:
        scores[:] = items[:, -1]
        return scores
    vectors = shopper_factors(block, artifact)
    _, deviation = factor_scale(vectors, artifact)
    # One GEMM does it all; NumPy's gives Python's lock to other threads, SciPy's does not.
    left = np.ones((block.shoppers, items.shape[1]), np.float32)
    left[:, :-1] = np.float32(weight) * vectors / deviation[:, None]
    return np.matmul(left, items.T, out=scores)
