"""Items that a model was not trained with, added to its artifact: a minor version of the same model.

A vector comes from the half-step of the training for an item with given user vectors: the equation of fold_in with
shoppers and items exchanged. An item without any event gets the mean vector of the items most like it in content.
"""

import dataclasses

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from freshet.models.items.item_model import ITEMS, FittedWeights
from freshet.ranking.artifact import Artifact
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


def content_vectors(item_ids: pa.Array, contents: pa.Table, artifact: Artifact) -> NDArray[np.float32]:
    """Vectors [items, rank]: the mean over known items of the same category and brand, else of the same category.

    `contents` is (item_id, category_path, brand), at most one row per item. Zeros if there is no such known item.
    """
    vectors = np.zeros((len(item_ids), artifact.factors.shape[1]), dtype=np.float32)
    # The finer group comes last and overwrites the values of the coarser one.
    for columns in (("category_path",), ("category_path", "brand")):
        groups = _groups(contents, columns)
        known, new = (_codes(ids, contents.column("item_id"), groups) for ids in (artifact.items, item_ids))
        counted = np.flatnonzero((known >= 0) & artifact.factors.any(axis=1))
        sums = np.zeros((groups.max(initial=-1) + 1, vectors.shape[1]), dtype=np.float64)
        np.add.at(sums, known[counted], artifact.factors[counted])
        counts = np.bincount(known[counted], minlength=len(sums))
        has_mean = (new >= 0) & (counts[np.maximum(new, 0)] > 0) if len(counts) else np.zeros(len(new), dtype=bool)
        vectors[has_mean] = sums[new[has_mean]] / counts[new[has_mean], None]
    return vectors


def with_new_items(artifact: Artifact, item_ids: pa.Array, vectors: NDArray[np.float32]) -> Artifact:
    """The artifact with further items; items that it has already are unchanged.

    Item models have no weights for new items yet, in either direction. Each item vector defines the value of a new
    item; its facts are unknown. Scores of known items change only by the mean vector.
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
    return dataclasses.replace(
        artifact, items=every.take(pa.array(order)), factors=factors, terms=terms, facts=facts,
        item_weights={name: _spread(fitted, order) for name, fitted in artifact.fitted.items()},
    )  # fmt: skip


def _spread(fitted: FittedWeights, order: NDArray[np.int64]) -> csr_matrix:
    """The same entries after sorting the items by `order`; rows and columns of new items are empty."""
    position = np.empty(len(order), dtype=np.int64)
    position[order] = np.arange(len(order))
    entries = fitted.matrix.tocoo()
    is_by_item = fitted.sources == ITEMS
    rows = position[entries.row] if is_by_item else entries.row
    height = len(order) if is_by_item else fitted.matrix.shape[0]
    return csr_matrix((entries.data, (rows, position[entries.col])), shape=(height, len(order)))


def _groups(contents: pa.Table, columns: tuple[str, ...]) -> NDArray[np.int64]:
    """A number per row of `contents`, equal for equal values; -1 where one is null."""
    joined = pc.binary_join_element_wise(*[contents.column(name) for name in columns], "\x1f")
    codes = joined.combine_chunks().dictionary_encode().indices
    return pc.fill_null(codes, -1).to_numpy(zero_copy_only=False).astype(np.int64)


def _codes(ids: pa.Array, known: pa.ChunkedArray, groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """The group of each id; -1 for one without a group."""
    places = pc.fill_null(pc.index_in(ids, value_set=known.combine_chunks()), -1).to_numpy().astype(np.int64)
    return np.where(places >= 0, groups[places] if len(groups) else -1, -1)
