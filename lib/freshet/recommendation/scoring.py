"""One scoring function for batch and stream: histories in, scores of all items out.

score = w_f * standardised x'y + w_n * neighbours + sum of w * own terms + sum of w * item terms,
minus infinity for items that the policy leaves out. Weights come from the recipe in the artifact.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from freshet.recommendation.artifact import Artifact
from freshet.recommendation.history_block import HistoryBlock
from freshet.recommendation.recipe import FACTORS, NEIGHBOURS
from freshet.recommendation.terms import factor_scale, neighbour_scores, own_scores, shopper_factors


@dataclass(frozen=True)
class ScoredBlock:
    """Scores [shoppers, items] and their weighted parts, from which reasons are read."""

    scores: NDArray[np.float32]
    item_part: NDArray[np.float32]
    neighbour_part: NDArray[np.float32] | None
    own_part: csr_matrix | None


def scored(block: HistoryBlock, artifact: Artifact, *, policy: str) -> ScoredBlock:
    """Scores by the recipe's weights of `policy`. Under new_items a shopper's target items are minus infinity."""
    recipe = artifact.recipe
    weights = recipe.weights[policy]
    item_part = np.zeros(block.items, dtype=np.float32)
    for name, vector in artifact.terms.items():
        item_part += np.float32(weights.get(name, 0.0)) * vector
    scores = _factor_part(block, artifact, weights.get(FACTORS, 0.0))
    scores += item_part
    neighbour_part = None
    if weights.get(NEIGHBOURS, 0.0):
        # Half of a catalogue may be a neighbour of something in a long history: dense is the quicker form.
        neighbour_part = (neighbour_scores(block, artifact) * np.float32(weights[NEIGHBOURS])).toarray()
        scores += neighbour_part
    own_part = None
    for name, term in own_scores(block, recipe).items():
        if weights.get(name, 0.0):
            weighted = term * np.float32(weights[name])
            own_part = weighted if own_part is None else own_part + weighted
    if own_part is not None:
        _add_sparse(scores, own_part)
    if policy == "new_items":
        seen = block.touched(recipe.target_code).tocoo()
        scores[seen.row, seen.col] = -np.inf
    return ScoredBlock(scores, item_part, neighbour_part, own_part)


def _factor_part(block: HistoryBlock, artifact: Artifact, weight: float) -> NDArray[np.float32]:
    if not weight or artifact.recipe.als is None:
        return np.zeros((block.shoppers, block.items), dtype=np.float32)
    vectors = shopper_factors(block, artifact)
    mean, deviation = factor_scale(vectors, artifact)
    # Standardising the vectors first leaves one GEMM and one shift per shopper.
    scaled = np.float32(weight) * vectors / deviation[:, None]
    scores = scaled @ artifact.factors.T
    scores -= (np.float32(weight) * mean / deviation)[:, None]
    return scores.astype(np.float32, copy=False)


def _add_sparse(scores: NDArray[np.float32], part: csr_matrix) -> None:
    rows = np.repeat(np.arange(part.shape[0]), np.diff(part.indptr))
    scores[rows, part.indices] += part.data
