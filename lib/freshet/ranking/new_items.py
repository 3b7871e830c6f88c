"""Items that a model was not trained with, added to its artifact: a minor version of the same model.

A vector comes from the half-step of the training for an item with given user vectors: the equation of fold_in with
shoppers and items exchanged. An item without any event takes over the vectors, and the weights in item models, of the
items most like it in content.
"""

import dataclasses

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from freshet.models.items.item_model import ITEMS, FittedWeights
from freshet.models.items.registry import ITEM_MODELS
from freshet.ranking.artifact import Artifact
from freshet.ranking.content.links import ContentLinks, widened_weights
from freshet.ranking.fold_in import folded_in
from freshet.ranking.ranker.item_facts import UNKNOWN
from freshet.ranking.terms.registry import item_vector


def solved_items(
    strengths: csr_matrix, user_vectors: NDArray[np.float32], user_gram: NDArray[np.float64], artifact: Artifact
) -> NDArray[np.float32]:
    """Vectors [items, rank] for strengths [items, shoppers] of the shoppers who touched them.

    `user_vectors` are those of these shoppers, `user_gram` is X'X over all shoppers of the model. An item without
    positive strength gets zeros.
    """
    als = artifact.recipe.als
    if als is None:
        return np.zeros((strengths.shape[0], artifact.factors.shape[1]), dtype=np.float32)
    # The vectors are in the axes of the items, but the kernel is quick only in those of the fixed side.
    values, axes = np.linalg.eigh(user_gram)
    turned = folded_in(strengths, (user_vectors @ axes).astype(np.float32), np.diag(values), als)
    return (turned @ axes.T).astype(np.float32)


def content_vectors(links: ContentLinks, artifact: Artifact) -> NDArray[np.float32]:
    """Vectors [items, rank]: the mean of those of the linked known items, weighted by similarity; zeros without any."""
    with_vector = links.among(np.asarray(artifact.factors.any(axis=1)))
    return np.asarray(with_vector.shares @ artifact.factors, dtype=np.float32)


def with_new_items(
    artifact: Artifact, item_ids: pa.Array, vectors: NDArray[np.float32], links: ContentLinks
) -> Artifact:
    """The artifact with further items; items that it has already are unchanged.

    In item models a new item takes over weights of the items that it is linked to. Each item vector defines the value
    of a new item; its facts are unknown, and there is no evidence of it. Scores of known items change only by the mean
    vector, and where a weight of a new item is the largest of a shopper.
    """
    is_new = pc.invert(pc.is_in(item_ids, value_set=artifact.items)).to_numpy(zero_copy_only=False)
    every = pa.concat_arrays([artifact.items, item_ids.filter(pa.array(is_new))])
    order = pc.sort_indices(every).to_numpy().astype(np.int64)
    added = int(is_new.sum())
    factors = np.concatenate([artifact.factors, vectors[is_new]])[order]
    terms = {
        name: np.concatenate([values, np.full(added, item_vector(name).of_new_item(values), dtype=np.float32)])[order]
        for name, values in artifact.terms.items()
    }
    unknown = np.full(added, UNKNOWN, dtype=np.float32)
    facts = {name: np.concatenate([values, unknown])[order] for name, values in artifact.facts.items()}
    nothing = np.zeros(added, dtype=np.float32)
    evidence = {name: np.concatenate([values, nothing])[order] for name, values in artifact.evidence.items()}
    mine = ContentLinks(links.similarity[is_new])
    return dataclasses.replace(
        artifact, items=every.take(pa.array(order)), factors=factors, terms=terms, facts=facts, evidence=evidence,
        item_weights={name: _spread(name, fitted, mine, order) for name, fitted in artifact.fitted.items()},
    )  # fmt: skip


def _spread(name: str, fitted: FittedWeights, links: ContentLinks, order: NDArray[np.int64]) -> csr_matrix:
    """The weights after sorting the items, of which new ones come last, by `order`."""
    weights = widened_weights(fitted, links, is_similar_items=ITEM_MODELS[name].is_similar_items)[:, order]
    sorted_rows = csr_matrix(weights[order] if fitted.sources == ITEMS else weights)
    sorted_rows.sort_indices()
    return sorted_rows
