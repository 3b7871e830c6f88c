"""Why an item stands in a list, in words that a page can show."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from freshet.recommendation.artifact import Artifact
from freshet.recommendation.history_block import HistoryBlock
from freshet.recommendation.scoring import ScoredBlock
from freshet.recommendation.terms import event_weights


def reasons(
    block: HistoryBlock, artifact: Artifact, result: ScoredBlock, chosen: NDArray[np.int64]
) -> list[list[str]]:
    """Per shopper and chosen column the part that weighs most: bought_before, similar_to:<item>, taste, popular_now.

    The item part counts by how far it stands above the catalogue's mean, as it lifts all items of all shoppers.
    """
    item = (result.item_part - result.item_part.mean())[chosen]
    own = _picked(result.own_part, chosen)
    neighbour = _picked(result.neighbour_part, chosen)
    total = np.take_along_axis(result.scores, chosen, axis=1)
    taste = total - result.item_part[chosen] - own - neighbour
    winner = np.argmax(np.stack([own, neighbour, taste, item]), axis=0)
    strengths = block.strengths(event_weights(artifact.recipe), artifact.recipe.neighbour_half_life_days)
    names = artifact.items
    words = []
    for shopper, columns in enumerate(chosen):
        origins = (
            _origins(strengths[shopper], artifact.neighbours, columns)
            if (winner[shopper] == 1).any()
            else None
        )
        row = []
        for place in range(len(columns)):
            if own[shopper, place] > 0:
                row.append("bought_before")
            elif winner[shopper, place] == 1 and origins is not None:
                row.append(f"similar_to:{names[int(origins[place])].as_py()}")
            else:
                row.append("taste" if winner[shopper, place] == 2 else "popular_now")
        words.append(row)
    return words


def _picked(part: csr_matrix | None, chosen: NDArray[np.int64]) -> NDArray[np.float32]:
    if part is None:
        return np.zeros(chosen.shape, dtype=np.float32)
    rows = np.repeat(np.arange(len(chosen)), chosen.shape[1])
    picked = np.asarray(part[rows, chosen.ravel()], dtype=np.float32)
    return picked.reshape(chosen.shape)


def _origins(strength: csr_matrix, neighbours: csr_matrix, columns: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each column the shopper's item that speaks most for it."""
    spoken = neighbours[strength.indices][:, columns].toarray() * strength.data[:, None]
    return strength.indices[np.argmax(spoken, axis=0)]
