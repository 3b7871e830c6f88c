"""Neighbours and scores of the plain baselines: NumPy and SciPy on one machine's memory, no Spark.

Strengths are a sparse matrix [shoppers, items] of values >= 0. Dense blocks are cut so that a block with its copies
stays below 64 MB. Similarities and scores are rounded to single precision, so that values that are equal by
definition are equal in fact, however their sums were added up.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, vstack

from freshet.numeric.sparse_products import add_product
from freshet.numeric.top_k import top_k

COSINE, PEARSON = "cosine", "pearson"

_BLOCK_VALUES = 2_000_000
"""Doubles in a dense block: 16 MB, and as much again for each of at most three copies."""


def blocks(rows: int, columns: int) -> Iterator[slice]:
    """Slices of rows such that a dense block over all columns keeps to the limit; at least one row each."""
    height = max(1, _BLOCK_VALUES // max(columns, 1))
    for start in range(0, rows, height):
        yield slice(start, min(start + height, rows))


@dataclass(frozen=True)
class Nearness:
    """How neighbours are found: `count` of them; see `nearest` for `shrinkage` and `asymmetry`."""

    count: int
    shrinkage: float
    asymmetry: float


def nearest(
    vectors: csr_matrix, wanted: NDArray[np.int64], *, similarities: tuple[str, ...], nearness: Nearness
) -> dict[str, csr_matrix]:
    """By similarity, a matrix [wanted, all]: each row holds its `count` nearest other rows of `vectors`, and itself.

    With x a wanted row and y any row, both of length n: cosine = x.y / (|x||y|);
    pearson = (x.y - sum(x) sum(y) / n) / (sd(x) sd(y)), where sd(x)^2 = x.x - sum(x)^2 / n: the correlation over all
    n places, zeros included. Two rows without a common place have a dot product of 0, hence no positive correlation:
    the sparse products hold every neighbour there is. In both, the divisor is |x|^(2 - asymmetry) |y|^asymmetry +
    shrinkage (Aiolli 2013; Bell and Koren 2007): asymmetry 1 and shrinkage 0 are the plain measures, more shrinkage
    (in units of a dot product) damps pairs with little evidence, more asymmetry trusts neighbours with much on
    record less.

    Only positive similarities count; equal ones go to the lower row. Rows that are zero, or constant for pearson, have
    no neighbours. The row itself comes on top of the count, with its own value: that is what repeats live on.
    """
    transposed = vectors.T.tocsr()
    measures = {name: _measure(vectors, name) for name in similarities}
    parts: dict[str, list[csr_matrix]] = {name: [] for name in similarities}
    for block in blocks(len(wanted), vectors.shape[0]):
        rows = wanted[block]
        place = np.arange(len(rows))
        shared = _product(vectors[rows], transposed)
        for name, (shift, length) in measures.items():
            close = shared - np.outer(shift[rows], shift) if name == PEARSON else shared.copy()
            scale = np.outer(length[rows] ** (2.0 - nearness.asymmetry), length**nearness.asymmetry)
            np.divide(close, scale + nearness.shrinkage, out=close, where=scale > 0)
            close[scale == 0] = 0.0
            rounded = close.astype(np.float32)
            own = rounded[place, rows]
            rounded[place, rows] = 0.0
            others = _sparse(*top_k(rounded, nearness.count), vectors.shape[0])
            parts[name].append(others + csr_matrix((own.astype(np.float64), (place, rows)), shape=others.shape))
    empty = csr_matrix((0, vectors.shape[0]))
    return {name: vstack(found or [empty], format="csr") for name, found in parts.items()}


def _measure(vectors: csr_matrix, similarity: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Per row its sum / sqrt(n), and its length: the norm, or for Pearson the norm about the mean."""
    squares = np.asarray(vectors.multiply(vectors).sum(axis=1)).ravel()
    if similarity == COSINE:
        return np.zeros_like(squares), np.sqrt(squares)
    shift = np.asarray(vectors.sum(axis=1)).ravel() / np.sqrt(vectors.shape[1])
    spread = squares - shift * shift
    # What cancellation leaves of a constant row is not a spread.
    return shift, np.sqrt(np.where(spread > 1e-12 * squares, spread, 0.0))


def _sparse(columns: NDArray[np.int64], values: NDArray[np.floating], width: int) -> csr_matrix:
    """[rows, width] with the positive values at their columns."""
    keep = values > 0
    starts = np.concatenate([[0], np.cumsum(keep.sum(axis=1))])
    matrix = csr_matrix((values[keep].astype(np.float64), columns[keep], starts), shape=(len(columns), width))
    matrix.sort_indices()
    return matrix


def item_scores(own: csr_matrix, neighbours_of_items: csr_matrix) -> NDArray[np.float64]:
    """[shoppers, items] dense: of each target item, the sum over its neighbours of similarity times own strength."""
    return _product(own, neighbours_of_items.T.tocsr())


def user_scores(neighbours_of_users: csr_matrix, strengths: csr_matrix) -> NDArray[np.float64]:
    """[shoppers, items] dense: of each item, the sum over nearest shoppers of similarity times their strength."""
    return _product(neighbours_of_users, strengths)


def _product(left: csr_matrix, right: csr_matrix) -> NDArray[np.float64]:
    cells = np.zeros((left.shape[0], right.shape[1]))
    add_product(cells, left, right)
    return cells
