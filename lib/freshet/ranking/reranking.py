"""The order of a list: the best items by the blend, corrected by the ranker of the policy if the recipe has one."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from freshet.ranking.artifact import Artifact
from freshet.ranking.best_items import best_items
from freshet.ranking.candidate_features import best_candidates
from freshet.ranking.scoring import ScoredBlock


class Ranked(NamedTuple):
    """[shoppers, length]: columns, best first, their scores, and their scores by the blend alone. Minus infinity marks
    places without an item."""

    columns: NDArray[np.int64]
    scores: NDArray[np.float32]
    blended: NDArray[np.float32]


def candidates_for(artifact: Artifact, policy: str, length: int) -> int:
    """The items of each shopper from which a list of this length is chosen."""
    ranker = artifact.recipe.rankers.get(policy)
    return length if ranker is None else max(length, ranker.candidates)


def ranked(result: ScoredBlock, artifact: Artifact, *, policy: str, width: int, length: int) -> Ranked:
    """Lists of at most `length` items; `width` as for `best_items`. Ties by lower column.

    Shoppers without known items keep the order by popularity.
    """
    ranker, count = artifact.recipe.rankers.get(policy), candidates_for(artifact, policy, length)
    if ranker is None:
        columns, blended = best_items(result, width, count)
        return Ranked(columns, blended, blended)
    best = best_candidates(result, artifact, ranker.features, width=width, count=count)
    added = ranker.correction.sums(best.features.reshape(-1, len(ranker.features))).reshape(best.columns.shape)
    if result.cold is not None:
        added[result.cold] = 0.0
    scores = best.blended + added
    order = np.lexsort((best.columns, -scores), axis=1)[:, :length]
    columns, corrected = np.take_along_axis(best.columns, order, axis=1), np.take_along_axis(scores, order, axis=1)
    return Ranked(columns, corrected, np.take_along_axis(best.blended, order, axis=1))
