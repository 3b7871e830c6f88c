"""New items linked to the known items that are most like them by content, and what they take over from these."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.sparse import csc_matrix, csr_matrix, vstack

from freshet.models.items.item_model import ITEMS, FittedWeights
from freshet.numeric.sparse_products import add_product, largest
from freshet.ranking.content.features import content_features

NEAREST = 30
"""Known items that a new item is linked to. On six sets of items with hidden ones, 10 to 30 were alike."""

_MOST_TIED = 300
"""Items that are as similar as the last of the nearest count too, up to this number: in a catalogue of categories alone
whole categories are equally similar."""

_DOUBT = 0.1
"""Added to the sum of similarities: an item that hardly resembles any known one takes over little."""

_MOST_WEIGHTS = 100
"""Weights that a new item has in an item model, in each direction."""

_CELLS = 4_000_000
"""Similarities that are computed at a time, 16 MB."""


@dataclass(frozen=True)
class ContentLinks:
    """similarity: float32 [new items, known items], the squared cosine of the nearest, 0 for all others."""

    similarity: csr_matrix

    @cached_property
    def shares(self) -> csr_matrix:
        """Weights of a mean over the known items; rows add up to less than 1."""
        sums = np.asarray(self.similarity.sum(axis=1)).ravel()
        return _scaled_rows(self.similarity, 1.0 / (sums + _DOUBT))

    def among(self, is_known: NDArray[np.bool_]) -> "ContentLinks":
        """Only the links to some of the known items."""
        kept = self.similarity.copy()
        kept.data[~is_known[kept.indices]] = 0.0
        kept.eliminate_zeros()
        return ContentLinks(kept)


def content_links(item_ids: pa.Array, contents: pa.Table, items: pa.Array) -> ContentLinks:
    """Links from new items to known `items`, by `contents` (features.CONTENT, one row per item).

    An item without a row, or without a word in common with a known item, has no link.
    """
    features = content_features(contents)
    known_ids = contents.column("item_id").combine_chunks()
    new, known = (_rows_of(ids, known_ids, features) for ids in (item_ids, items))
    words = known.T.tocsr()
    size = max(1, _CELLS // max(1, known.shape[0]))
    parts = [_nearest(new[start : start + size], words) for start in range(0, new.shape[0], size)]
    found = csr_matrix(vstack(parts)) if parts else csr_matrix((0, len(items)), dtype=np.float32)
    found.data **= 2
    return ContentLinks(found)


def _rows_of(ids: pa.Array, known_ids: pa.Array, features: csr_matrix) -> csr_matrix:
    """The features of these items; empty rows for those without any."""
    places = pc.fill_null(pc.index_in(ids, value_set=known_ids), features.shape[0]).to_numpy().astype(np.int64)
    # The last row is that of items of which nothing is known.
    with_empty = csr_matrix(vstack([features, csr_matrix((1, features.shape[1]), dtype=np.float32)]))
    return csr_matrix(with_empty[places])


def _nearest(rows: csr_matrix, words: csr_matrix) -> csr_matrix:
    """The NEAREST highest cosines of each row, and those that equal the last of them."""
    cells = np.zeros((rows.shape[0], words.shape[1]), dtype=np.float32)
    add_product(cells, rows, words)
    if cells.shape[1] > NEAREST:
        edge = np.partition(cells, cells.shape[1] - NEAREST, axis=1)[:, -NEAREST, None]
        # Sums of the same words differ in their last digits.
        cells[cells < np.maximum(edge * (1 - 1e-5), 1e-6)] = 0.0
    return largest(cells, min(_MOST_TIED, cells.shape[1]))


def widened_weights(fitted: FittedWeights, links: ContentLinks, *, is_similar_items: bool) -> csr_matrix:
    """The weights of an item model with those of the new items, which come after the known ones in rows and columns.

    A new item takes over the mean weights of the items that it is linked to, as a source and as a target, so that its
    contribution is the mean of theirs. In a model of similar items it is also a neighbour of the linked items: with the
    largest weight of the linked item times the squared cosine. At most 100 weights in each direction.
    """
    shares, weights = links.shares, csr_matrix(fitted.matrix)
    as_target = csr_matrix(shares @ fitted.by_target.T)
    is_by_item = fitted.sources == ITEMS
    as_source = csr_matrix(shares @ weights) if is_by_item else None
    if is_similar_items:
        as_target = as_target.maximum(_scaled_columns(links.similarity, _largest_of_rows(weights)))
        if as_source is not None:
            as_source = as_source.maximum(_scaled_columns(links.similarity, _largest_of_rows(fitted.by_target.T)))
    known, new = weights.shape[1], shares.shape[0]
    height = weights.shape[0] + (new if is_by_item else 0)
    wide = csr_matrix((weights.data, weights.indices, weights.indptr), shape=(weights.shape[0], known + new))
    targets = _few(as_target).T.tocoo()
    added = csr_matrix((targets.data, (targets.row, targets.col + known)), shape=(weights.shape[0], known + new))
    found = csr_matrix(wide + added)
    if as_source is None:
        return found
    sources = _few(as_source)
    below = csr_matrix((sources.data, sources.indices, sources.indptr), shape=(new, known + new))
    return csr_matrix(vstack([found, below]), shape=(height, known + new))


def _few(rows: csr_matrix) -> csr_matrix:
    """The _MOST_WEIGHTS entries of largest absolute value of each row."""
    size = max(1, _CELLS // max(1, rows.shape[1]))
    parts = [
        largest(rows[start : start + size].toarray(), min(_MOST_WEIGHTS, rows.shape[1]))
        for start in range(0, rows.shape[0], size)
    ]
    return csr_matrix(vstack(parts)) if parts else rows


def _largest_of_rows(weights: csr_matrix | csc_matrix) -> NDArray[np.float32]:
    return np.asarray(csr_matrix(weights).max(axis=1).toarray(), dtype=np.float32).ravel()


def _scaled_rows(matrix: csr_matrix, factors: NDArray[np.floating]) -> csr_matrix:
    values = matrix.data * np.repeat(factors, np.diff(matrix.indptr)).astype(np.float32)
    return csr_matrix((values, matrix.indices, matrix.indptr), shape=matrix.shape)


def _scaled_columns(matrix: csr_matrix, factors: NDArray[np.float32]) -> csr_matrix:
    return csr_matrix((matrix.data * factors[matrix.indices], matrix.indices, matrix.indptr), shape=matrix.shape)
