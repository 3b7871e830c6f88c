"""Why an item stands in a list, in words that a page can show."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from freshet.numeric.row_kernels import picked, said
from freshet.ranking.artifact import Artifact
from freshet.ranking.scoring import ScoredBlock
from freshet.ranking.terms.reason import POPULAR_NOW, SIMILAR_TO, TASTE


def reasons(artifact: Artifact, result: ScoredBlock, chosen: NDArray[np.int64], total: NDArray[np.float32]) -> pa.Array:
    """Per shopper and chosen column, row after row, the reason's code: bought_before, similar_to:<item>, taste,
    popular_now or that of an extension's term; texts, or codes of a dictionary where few texts are all there is.

    `total`: the scores of the chosen. Parts of a score are the sums of terms of one reason. A decisive reason, as
    bought_before, wherever its part lifts the score; else that of the part that weighs most. The part of items alone
    counts by how far it stands above the catalogue's mean, as it lifts all items of all shoppers; of shoppers without
    known items there is nothing else. The item that similar_to names is the one of the shopper's that speaks most for
    it in the item model that gives it most.
    """
    codes = {reason: code for code, reason in enumerate(artifact.reasons)}
    sparse = {reason: _picked(part, chosen) for reason, part in result.sparse_parts.items()}
    told = [
        said(part.inputs, artifact.weights_by_target[model], chosen, part.factors)
        for model, part in result.model_parts.items()
    ]  # fmt: skip
    models = [values for values, _ in told]
    similar = np.sum(models, axis=0) if models else np.zeros(chosen.shape, np.float32)
    taste = total - result.item_part[chosen]
    for values in (*sparse.values(), similar):
        taste = taste - values
    parts = {reason: _lift(part)[chosen] for reason, part in result.item_parts.items()}
    parts |= {reason: values for reason, values in sparse.items() if not reason.is_decisive}
    # Of parts that weigh the same the last: what is said of the shopper goes before what is said of all.
    parts |= {TASTE: taste, SIMILAR_TO: similar}
    best = np.maximum.reduce([np.zeros(chosen.shape, np.float32), *parts.values()])
    words = np.full(chosen.shape, codes[POPULAR_NOW])
    for reason, values in parts.items():
        words[(values == best) & (values > 0)] = codes[reason]
    for reason, values in sparse.items():
        if reason.is_decisive:
            words[values > 0] = codes[reason]
    if result.cold is not None:
        words[result.cold] = codes[POPULAR_NOW]
    origins = np.full(chosen.shape, -1)
    said_by = np.argmax(models, axis=0) if models else origins
    is_similar = words == codes[SIMILAR_TO]
    for number, (_, speaking) in enumerate(told):
        mine = is_similar & (said_by == number)
        origins[mine] = speaking[mine]
    return _in_words(words, origins, is_similar, artifact)


def _lift(part: NDArray[np.float32]) -> NDArray[np.float32]:
    return part - (part.mean() if len(part) else np.float32(0.0))


def _picked(part: csr_matrix, chosen: NDArray[np.int64]) -> NDArray[np.float32]:
    return picked(part, chosen) if chosen.size else np.zeros(chosen.shape, dtype=np.float32)


def _in_words(
    words: NDArray[np.int64], origins: NDArray[np.int64], is_similar: NDArray[np.bool_], artifact: Artifact
) -> pa.Array:
    texts = pa.array([reason.code for reason in artifact.reasons], pa.string())
    coded = pa.DictionaryArray.from_arrays(pa.array(words.ravel(), pa.int8()), texts)
    if not is_similar.any():
        return coded
    named = artifact.items.take(pa.array(origins[is_similar]))
    told = pc.binary_join_element_wise(SIMILAR_TO.code, named, ":")
    return pc.replace_with_mask(coded.dictionary_decode(), pa.array(is_similar.ravel()), told)
