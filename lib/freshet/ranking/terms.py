"""The terms of a score: what each contributes for a block of shoppers.

Dense terms are [shoppers, items]; own_ terms are sparse, at the shopper's own items; item_ terms are one vector for
all shoppers and live in the artifact.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from freshet.ranking.artifact import Artifact
from freshet.ranking.fold_in import folded_in
from freshet.ranking.history_block import HistoryBlock
from freshet.ranking.recipe import LINEAR_ITEMS, NEXT_ITEMS, OWN_SEEN, Recipe


def event_weights(recipe: Recipe) -> NDArray[np.float64]:
    """Weights by event code: the position of the name in the recipe's event_names."""
    return np.array([recipe.event_weights.get(name, 0.0) for name in recipe.event_names], dtype=np.float64)


def shopper_factors(block: HistoryBlock, artifact: Artifact) -> NDArray[np.float32]:
    """Folded-in vectors [shoppers, rank] of whole histories; zeros without a known item of positive strength."""
    recipe = artifact.recipe
    assert recipe.als is not None
    strengths = block.strengths(event_weights(recipe), recipe.user_half_life_days, at_least=recipe.user_min_strength)
    return folded_in(strengths, artifact.factors, artifact.gram, recipe.als)


def factor_scale(vectors: NDArray[np.float32], artifact: Artifact) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Per shopper the mean and standard deviation of x'y over all items, without computing the scores.

    mean = x'm with m the mean item vector; variance = x'(Y'Y / items)x - mean^2. A flat row gets deviation 1.
    """
    wide = vectors.astype(np.float64)
    mean = wide @ artifact.mean_factor
    square = ((wide @ artifact.gram) * wide).sum(axis=1) / max(1, len(artifact.factors))
    variance = square - mean**2
    # What cancellation leaves of a flat row is no deviation: it would blow rounding up to scores.
    flat = variance <= 1e-10 * square
    deviation = np.sqrt(np.where(flat, 1.0, variance))
    return mean.astype(np.float32), deviation.astype(np.float32)


def item_model_inputs(model: str, block: HistoryBlock, artifact: Artifact) -> csr_matrix:
    """[shoppers, items] sparse, float32, above 0: what an item model reads of a history.

    neighbours: decayed strengths. linear_items: the same, at most 1 each, as the model is trained. next_items: the
    state of models/items/next_items.py after the newest step; items that the model does not know make no step.
    """
    recipe = artifact.recipe
    weights = event_weights(recipe)
    if model == NEXT_ITEMS:
        assert recipe.next_items is not None
        params, known = recipe.next_items, artifact.known_to_next_items
        return block.states(weights > 0, known, decay=params.decay, steps=params.steps)
    half_life = recipe.linear_half_life_days if model == LINEAR_ITEMS else recipe.neighbour_half_life_days
    strengths = block.strengths(weights, half_life).astype(np.float32)
    if model == LINEAR_ITEMS:
        strengths.data = np.minimum(strengths.data, np.float32(1.0))
    return strengths


def own_scores(block: HistoryBlock, recipe: Recipe) -> dict[str, csr_matrix]:
    """The own_ terms that the recipe uses, by name: sparse [shoppers, items], 0 where the shopper had no item.

    own_frequency_*: decayed strength s as log(1 + 3 s), each shopper's highest scaled to 1, so that tens of orders
    do not drown everything else. own_seen: 1 at every item of positive strength, whatever its age.
    """
    weights = event_weights(recipe)
    scores = {}
    for name, half_life in recipe.own_half_lives.items():
        strengths = block.strengths(weights, half_life)
        strengths.data = np.ones_like(strengths.data) if name == OWN_SEEN else np.log1p(3.0 * strengths.data)
        scores[name] = _scaled_to_one(strengths.astype(np.float32))
    return scores


def _scaled_to_one(scores: csr_matrix) -> csr_matrix:
    counts = np.diff(scores.indptr)
    if scores.nnz:
        filled = counts > 0
        # SciPy's own maximum sorts the whole matrix first.
        highest = np.maximum.reduceat(scores.data, scores.indptr[:-1][filled])
        scores.data /= np.repeat(np.where(highest > 0, highest, 1.0), counts[filled]).astype(np.float32)
    return scores
