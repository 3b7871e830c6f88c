"""The candidates of a ranker, the best items by the blend, and the features by which it corrects their scores: the
blend's score, all terms without their weights, facts of items, and history.

The same function serves the fit of a ranker, batch lists and the stream.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from freshet.numeric.row_kernels import chosen_sums, picked, scaled_product
from freshet.numeric.top_k import Found
from freshet.ranking.artifact import Artifact
from freshet.ranking.ranker.history_features import HISTORY_FEATURES, history_features
from freshet.ranking.scoring import ScoredBlock, factor_rows, factor_values, model_inputs, sparse_rows
from freshet.ranking.terms.registry import FACTORS

SCORE = "score"
"""The name of the blend's score."""


def feature_names(artifact: Artifact) -> list[str]:
    """All features that an artifact has: the score, its terms, facts of items, and those of the history."""
    recipe = artifact.recipe
    factors = [FACTORS.name] if recipe.als is not None else []
    models = [model for model, weights in artifact.item_weights.items() if weights.nnz]
    return [SCORE, *factors, *models, *recipe.sparse_terms, *artifact.terms, *artifact.facts, *HISTORY_FEATURES]


class BestCandidates(NamedTuple):
    """columns [shoppers, candidates], best first by the blend; is_item: false where a shopper has fewer, column 0 then;
    blended: their scores by the blend, minus infinity then; features [shoppers, candidates, names]."""

    columns: NDArray[np.int64]
    is_item: NDArray[np.bool_]
    blended: NDArray[np.float32]
    features: NDArray[np.float32]


def best_candidates(
    result: ScoredBlock, artifact: Artifact, names: Sequence[str], best: Found[np.float32]
) -> BestCandidates:
    """The items that `best_items` has found, with their features."""
    columns, blended = best
    is_item = np.isfinite(blended)
    columns = np.where(is_item, columns, 0)
    scores = np.where(is_item, blended, np.float32(0.0))
    return BestCandidates(columns, is_item, blended, candidate_features(names, result, artifact, columns, scores))


def candidate_features(
    names: Sequence[str],
    result: ScoredBlock,
    artifact: Artifact,
    columns: NDArray[np.int64],
    scores: NDArray[np.float32],
) -> NDArray[np.float32]:
    """[shoppers, candidates, names] of items `columns` [shoppers, candidates] with the blend's `scores`; never NaN."""
    found = np.empty((*columns.shape, len(names)), dtype=np.float32)
    recipe, wanted = artifact.recipe, [name for name in names if name in HISTORY_FEATURES]
    of_history = history_features(
        result.block, columns, wanted, target_code=recipe.target_code, event_weights=recipe.weights_by_code
    )
    for number, name in enumerate(names):
        if name == SCORE:
            found[:, :, number] = scores
        elif name in of_history:
            found[:, :, number] = of_history[name]
        else:
            found[:, :, number] = _of_item(name, result, artifact, columns)
    return found


def _of_item(name: str, result: ScoredBlock, artifact: Artifact, columns: NDArray[np.int64]) -> NDArray[np.float32]:
    """The values of a term or a fact at these columns."""
    if name == FACTORS.name:
        rows = factor_rows(result.block, artifact) if result.taste is None else result.taste
        return factor_values(rows, artifact, columns)
    for vectors in (artifact.terms, artifact.facts):
        if name in vectors:
            return vectors[name][columns]
    if name in artifact.recipe.sparse_terms:
        values = result.sparse_rows.get(name)
        return picked(sparse_rows(name, result.block, artifact) if values is None else values, columns)
    if name in result.model_parts:
        inputs, factors, weight = result.model_parts[name]
        return chosen_sums(inputs, artifact.item_weights[name], columns, factors) / np.float32(weight)
    if name in artifact.item_weights:
        values, _ = scaled_product(model_inputs(name, result.block, artifact), artifact.item_weights[name], 1.0)
        return picked(values, columns)
    # A model that could not be fitted any more, or a vector that is the same for all items.
    return np.zeros(columns.shape, dtype=np.float32)
