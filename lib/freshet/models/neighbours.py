"""Item neighbours: which items say most of each other, by cosine of their shoppers' strengths.

The computation runs inside one Spark task on a sparse matrix that is built there from Arrow batches; peak memory is
about 40 bytes per interaction plus one block of similarities.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from scipy.sparse import csc_matrix, csr_matrix, vstack

from freshet.models.coded_rows import CodedRows
from freshet.models.item_weights import fitted_weights

_BLOCK_PAIRS = 2_000_000
"""Pairs of items in a block of similarities: at most 150 MB with all that sorting them takes."""


@dataclass(frozen=True)
class NeighbourParameters:
    """`count` neighbours are kept per item.

    Similarity of an item j to its neighbour i: shared / (|i|^asymmetry * |j|^(2 - asymmetry) + shrinkage), where
    shared is the dot product of their columns and |.| the column norm. Asymmetry 1 without shrinkage is the cosine;
    more than 1 trusts neighbours that everybody has less. Shrinkage damps pairs with little evidence.
    """

    count: int
    asymmetry: float
    shrinkage: float

    def __post_init__(self) -> None:
        if self.count < 1 or self.shrinkage < 0 or not 0 <= self.asymmetry <= 2:
            raise ValueError("count must be 1 or more, shrinkage 0 or more, asymmetry within 0 and 2")


def similar_items_matrix(strengths: csr_matrix, params: NeighbourParameters) -> csr_matrix:
    """[items, items] float32 for strengths [shoppers, items] >= 0: row j holds the `count` nearest neighbours of j.

    No item is its own neighbour. Ties go to the lower column. Items without shoppers have empty rows. Neighbours are
    chosen per item that is to be scored: chosen per item that speaks, the popular ones would crowd out all others.
    """
    columns: csc_matrix = strengths.tocsc().astype(np.float64)
    norms = np.sqrt(np.asarray(columns.multiply(columns).sum(axis=0)).ravel())
    transposed = columns.T.tocsr()
    items = columns.shape[1]
    height = max(1, _BLOCK_PAIRS // max(1, items))
    blocks = []
    for start in range(0, items, height):
        shared = (transposed[start : start + height] @ strengths).tocoo()
        speaker = norms[shared.col] ** params.asymmetry
        target = norms[shared.row + start] ** (2.0 - params.asymmetry)
        # Rounded before they are compared, so that what is told as equal is ordered as equal.
        value = (shared.data / (speaker * target + params.shrinkage + 1e-12)).astype(np.float32)
        keep = (shared.col != shared.row + start) & (value > 0)
        blocks.append(_highest(shared.row[keep], shared.col[keep], value[keep], shared.shape, params.count))
    return vstack(blocks, format="csr", dtype=np.float32) if blocks else csr_matrix((0, 0), dtype=np.float32)


def _highest(
    rows: NDArray[np.int32],
    columns: NDArray[np.int32],
    values: NDArray[np.float32],
    shape: tuple[int, int],
    count: int,
) -> csr_matrix:
    order = np.lexsort((columns, -values, rows))
    rows, columns, values = rows[order], columns[order], values[order]
    starts = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=shape[0]))])
    place = np.arange(len(rows)) - starts[rows]
    keep = place < count
    return csr_matrix((values[keep], (rows[keep], columns[keep])), shape=shape)


def item_neighbours(interactions: DataFrame, params: NeighbourParameters, *, threads: int) -> pa.Table:
    """(item_id, neighbours array<item_id, weight>), nearest first, for rows (user_id, item_id, strength).

    Strengths of 0 or null are left out; an item without neighbours has no row.
    """

    def fit(rows: CodedRows) -> csr_matrix:
        return similar_items_matrix(rows.matrix(), params)

    wanted = interactions.where("strength > 0").select("user_id", "item_id", "strength")
    return fitted_weights(wanted, fit, threads=threads)
