"""Reasons for the items of a list, in words that a page can show."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from freshet.models.items.item_model import ITEMS
from freshet.numeric.row_kernels import column_contributions, picked
from freshet.ranking.artifact import Artifact
from freshet.ranking.scoring import ScoredBlock
from freshet.ranking.terms.reason import (
    BOUGHT_BEFORE,
    POPULAR_NOW,
    SIMILAR_SHOPPERS,
    SIMILAR_TO,
    TASTE,
    VIEWED_BEFORE,
    Reason,
)


def reasons(artifact: Artifact, result: ScoredBlock, chosen: NDArray[np.int64], total: NDArray[np.float32]) -> pa.Array:
    """Per shopper and chosen column, row after row, the code of the reason: bought_before, viewed_before,
    similar_to:<item>, similar_shoppers, taste, popular_now or that of an extension's term; as texts, or as codes of a
    dictionary if there are only few texts.

    `total`: the scores of the chosen items. The parts of a score are the sums of the terms with one reason. A decisive
    reason, such as bought_before, is given if its part raises the score; otherwise the reason of the largest part. An
    item that the shopper has but never bought is viewed_before. The part of the item vectors counts by its distance
    above the mean of the catalogue, as it raises all items of all shoppers; shoppers without known items have no other
    part. similar_to names the item of the shopper's history that contributes most in the item model that contributes
    most.
    """
    codes = {reason: code for code, reason in enumerate(artifact.reasons)}
    sparse = {reason: _picked(part, chosen) for reason, part in result.sparse_parts.items()}
    contributions, shoppers = [], np.zeros(chosen.shape, np.float32)
    for model, part in result.model_parts.items():
        found = column_contributions(part.inputs, artifact.fitted[model].by_target, chosen, part.factors)
        if artifact.fitted[model].sources == ITEMS:
            contributions.append(found)
        else:
            shoppers = shoppers + found[0]
    models = [values for values, _ in contributions]
    similar = np.sum(models, axis=0) if models else np.zeros(chosen.shape, np.float32)
    taste = total - result.item_part[chosen]
    for values in (*sparse.values(), similar, shoppers):
        taste = taste - values
    parts = {reason: _lift(part)[chosen] for reason, part in result.item_parts.items()}
    parts |= {reason: values for reason, values in sparse.items() if not reason.is_decisive}
    # Of equal parts the last: reasons about the shopper take precedence over those about all shoppers.
    parts |= {TASTE: taste, SIMILAR_SHOPPERS: shoppers, SIMILAR_TO: similar}
    best = np.maximum.reduce([np.zeros(chosen.shape, np.float32), *parts.values()])
    words = np.full(chosen.shape, codes[POPULAR_NOW])
    for reason, values in parts.items():
        words[(values == best) & (values > 0)] = codes[reason]
    for reason, values in sparse.items():
        if reason.is_decisive:
            words[values > 0] = codes[reason]
    is_own = words == codes[BOUGHT_BEFORE]
    if is_own.any():
        words[is_own & (_picked(result.bought, chosen) == 0)] = codes[VIEWED_BEFORE]
    if result.cold is not None:
        words[result.cold] = codes[POPULAR_NOW]
    origins = np.full(chosen.shape, -1)
    said_by = np.argmax(models, axis=0) if models else origins
    is_similar = words == codes[SIMILAR_TO]
    for number, (_, sources) in enumerate(contributions):
        mine = is_similar & (said_by == number)
        origins[mine] = sources[mine]
    return _in_words(words, origins, is_similar, artifact)


def with_reason(words: pa.Array, reason: Reason, holds: NDArray[np.bool_]) -> pa.Array:
    """The reasons, row after row, with this one for the items for which it `holds` [shoppers, length]."""
    if not holds.any():
        return words
    texts = words.dictionary_decode() if pa.types.is_dictionary(words.type) else words
    return pc.replace_with_mask(texts, pa.array(holds.ravel()), pa.scalar(reason.code))


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
    with_item = pc.binary_join_element_wise(SIMILAR_TO.code, named, ":")
    return pc.replace_with_mask(coded.dictionary_decode(), pa.array(is_similar.ravel()), with_item)
