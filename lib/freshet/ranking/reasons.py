"""Why an item stands in a list, in words that a page can show."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from freshet.contracts.models import REASONS
from freshet.numeric.row_kernels import picked, said
from freshet.ranking.artifact import Artifact
from freshet.ranking.scoring import ScoredBlock

_BOUGHT, _SIMILAR, _TASTE, _POPULAR = range(len(REASONS))


def reasons(artifact: Artifact, result: ScoredBlock, chosen: NDArray[np.int64], total: NDArray[np.float32]) -> pa.Array:
    """Per shopper and chosen column, row after row: bought_before, similar_to:<item>, taste or popular_now; texts, or
    codes of a dictionary where few texts are all there is.

    `total`: the scores of the chosen. bought_before wherever the shopper's own items lift the score; else the part of
    it that weighs most. The item part counts by how far it stands above the catalogue's mean, as it lifts all items of
    all shoppers; of shoppers without known items there is nothing else. The item that similar_to names is the one of
    the shopper's that speaks most for it in the item model that gives it most.
    """
    own = np.zeros(chosen.shape, np.float32) if result.own_part is None else _picked(result.own_part, chosen)
    told = [
        said(part.inputs, artifact.weights_by_target[model], chosen, part.factors)
        for model, part in result.model_parts.items()
    ]  # fmt: skip
    models = [values for values, _ in told]
    similar = np.sum(models, axis=0) if models else np.zeros(chosen.shape, np.float32)
    taste = total - result.item_part[chosen] - own - similar
    lift = result.item_part - (result.item_part.mean() if len(result.item_part) else 0.0)
    best = np.maximum(np.maximum(similar, taste), np.maximum(lift[chosen], 0.0))
    words = np.full(chosen.shape, _POPULAR)
    words[(taste == best) & (taste > 0)] = _TASTE
    words[(similar == best) & (similar > 0)] = _SIMILAR
    words[own > 0] = _BOUGHT
    if result.cold is not None:
        words[result.cold] = _POPULAR
    origins = np.full(chosen.shape, -1)
    said_by = np.argmax(models, axis=0) if models else origins
    for number, (_, speaking) in enumerate(told):
        mine = (words == _SIMILAR) & (said_by == number)
        origins[mine] = speaking[mine]
    return _in_words(words, origins, artifact)


def _picked(part: csr_matrix, chosen: NDArray[np.int64]) -> NDArray[np.float32]:
    return picked(part, chosen) if chosen.size else np.zeros(chosen.shape, dtype=np.float32)


def _in_words(words: NDArray[np.int64], origins: NDArray[np.int64], artifact: Artifact) -> pa.Array:
    coded = pa.DictionaryArray.from_arrays(pa.array(words.ravel(), pa.int8()), pa.array(REASONS, pa.string()))
    similar = words == _SIMILAR
    if not similar.any():
        return coded
    told = pc.binary_join_element_wise(REASONS[_SIMILAR], artifact.items.take(pa.array(origins[similar])), ":")
    return pc.replace_with_mask(coded.dictionary_decode(), pa.array(similar.ravel()), told)
