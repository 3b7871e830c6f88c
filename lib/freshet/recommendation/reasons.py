"""Why an item stands in a list, in words that a page can show."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from freshet.contracts.models import REASONS
from freshet.recommendation.artifact import Artifact
from freshet.recommendation.history_block import HistoryBlock
from freshet.recommendation.row_kernels import picked
from freshet.recommendation.scoring import ScoredBlock
from freshet.recommendation.terms import event_weights

_BOUGHT, _SIMILAR, _TASTE, _POPULAR = range(len(REASONS))


def reasons(block: HistoryBlock, artifact: Artifact, result: ScoredBlock, chosen: NDArray[np.int64]) -> pa.StringArray:
    """Per shopper and chosen column, row after row: bought_before, similar_to:<item>, taste or popular_now.

    bought_before wherever the shopper's own items lift the score; else the part of it that weighs most. The item part
    counts by how far it stands above the catalogue's mean, as it lifts all items of all shoppers.
    """
    own = _picked(result.own_part, chosen)
    neighbour = _picked(result.neighbour_part, chosen)
    total = np.take_along_axis(result.scores, chosen, axis=1)
    taste = total - result.item_part[chosen] - own - neighbour
    lift = result.item_part - (result.item_part.mean() if len(result.item_part) else 0.0)
    best = np.maximum(np.maximum(neighbour, taste), np.maximum(lift[chosen], 0.0))
    words = np.full(chosen.shape, _POPULAR)
    words[(taste == best) & (taste > 0)] = _TASTE
    words[(neighbour == best) & (neighbour > 0)] = _SIMILAR
    words[own > 0] = _BOUGHT
    return _in_words(words, block, artifact, chosen)


def _picked(part: csr_matrix | None, chosen: NDArray[np.int64]) -> NDArray[np.float32]:
    if part is None or chosen.size == 0:
        return np.zeros(chosen.shape, dtype=np.float32)
    return picked(part, chosen)


def _in_words(
    words: NDArray[np.int64], block: HistoryBlock, artifact: Artifact, chosen: NDArray[np.int64]
) -> pa.StringArray:
    plain = pa.array(REASONS, pa.string()).take(pa.array(words.ravel()))
    similar = words == _SIMILAR
    if not similar.any():
        return plain
    origins = _origins(block, artifact, np.nonzero(similar)[0], chosen[similar])
    told = pc.binary_join_element_wise(REASONS[_SIMILAR], artifact.items.take(pa.array(origins)), ":")
    return pc.replace_with_mask(plain, pa.array(similar.ravel()), told)


def _origins(
    block: HistoryBlock, artifact: Artifact, shoppers: NDArray[np.int64], columns: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Of each shopper and column the shopper's item that speaks most for it; ties go to the lower column.

    At least one of the shopper's items must speak for each column.
    """
    recipe, speakers = artifact.recipe, artifact.speakers
    strengths = block.strengths(event_weights(recipe), recipe.neighbour_half_life_days).toarray()
    counts = np.diff(speakers.indptr)[columns]
    starts = np.cumsum(counts) - counts
    places = np.arange(counts.sum()) + np.repeat(speakers.indptr[columns] - starts, counts)
    said = speakers.data[places] * strengths[np.repeat(shoppers, counts), speakers.indices[places]]
    highest = np.repeat(np.maximum.reduceat(said, starts), counts)
    winners = np.flatnonzero(said == highest)
    # The first winner of each segment.
    first = winners[np.searchsorted(winners, starts)]
    return speakers.indices[places[first]].astype(np.int64)
