"""Neighbours and best items of the plain baselines: sparse matrices in the memory of one machine, no Spark.

Strengths are a sparse matrix [shoppers, items] of values >= 0. The work is proportional to the pairs of rows that share
a column, and not to all pairs of rows: no shopper or item needs a row as wide as the catalogue, and only as many
entries are kept for each as requested. Similarities and scores are rounded to single precision, so that values that are
equal by definition compare as equal, in whatever order their sums were computed.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, vstack

from freshet.evaluation.row_products import best_neighbours, best_sums
from freshet.numeric.top_k import Found, found_matrix, nothing_found

COSINE, PEARSON = "cosine", "pearson"

_BLOCK_VALUES = 4_000_000
"""Entries of a block's neighbours or lists: 48 MB of values and columns."""


def blocks(rows: int, columns: int) -> Iterator[slice]:
    """Slices of rows such that a block with this many columns stays within the limit; at least one row each."""
    height = max(1, _BLOCK_VALUES // max(columns, 1))
    for start in range(0, rows, height):
        yield slice(start, min(start + height, rows))


@dataclass(frozen=True)
class Nearness:
    """Parameters of neighbours: their `count`; see `nearest` for `shrinkage` and `asymmetry`."""

    count: int
    shrinkage: float
    asymmetry: float


def nearest(
    vectors: csr_matrix,
    wanted: NDArray[np.int64],
    *,
    similarities: tuple[str, ...],
    nearness: Nearness,
    is_neighbour: NDArray[np.bool_] | None = None,
) -> dict[str, csr_matrix]:
    """By similarity, a matrix [wanted, all]: each row holds its `count` nearest other rows of `vectors`, and itself.

    `is_neighbour`: the rows that may be neighbours of others; None means all.

    With x a wanted row and y any row, both of length n: cosine = x.y / (|x||y|);
    pearson = (x.y - sum(x) sum(y) / n) / (sd(x) sd(y)), where sd(x)^2 = x.x - sum(x)^2 / n: the correlation over all
    n columns, with zeros. Two rows without a common column have a dot product of 0, hence no positive correlation: all
    neighbours are among the rows that share a column. In both, the divisor is
    |x|^(2 - asymmetry) |y|^asymmetry + shrinkage (Aiolli 2013; Bell and Koren 2007): asymmetry 1 and shrinkage 0 are
    the plain measures, more shrinkage (in units of a dot product) damps pairs with little evidence, more asymmetry
    trusts neighbours with long vectors less.

    Only positive similarities count; equal ones go to the lower row. Rows that are zero, or constant for pearson, have
    no neighbours. The row itself comes in addition to the `count` others, with its own value; repeats depend on it.
    """
    transposed = vectors.T.tocsr()
    shifts, lengths = (np.array(each) for each in zip(*[_measure(vectors, name) for name in similarities], strict=True))
    count = max(0, min(nearness.count, vectors.shape[0] - 1))
    parts: dict[str, list[csr_matrix]] = {name: [] for name in similarities}
    may_be = np.ones(vectors.shape[0], dtype=np.bool_) if is_neighbour is None else is_neighbour
    for block in blocks(len(wanted), count + 1):
        rows = wanted[block]
        part = vectors[rows]
        near = [nothing_found(len(rows), count, np.dtype(np.float32)) for _ in similarities]
        columns, values = (np.stack(each) for each in zip(*near, strict=True))
        own = np.zeros((len(similarities), len(rows)), dtype=np.float32)
        best_neighbours(
            part.indptr, part.indices, part.data, transposed.indptr, transposed.indices, transposed.data, rows,
            shifts, lengths ** (2.0 - nearness.asymmetry), lengths**nearness.asymmetry, nearness.shrinkage, may_be,
            columns, values, own,
        )  # fmt: skip
        for n, name in enumerate(similarities):
            with_own = (np.column_stack([columns[n], rows]), np.column_stack([values[n], own[n]]))
            parts[name].append(found_matrix(*with_own, vectors.shape[0]).astype(np.float64))
    empty = csr_matrix((0, vectors.shape[0]))
    return {name: vstack(found or [empty], format="csr") for name, found in parts.items()}


def _measure(vectors: csr_matrix, similarity: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Per row its sum / sqrt(n), and its length: the norm, or for Pearson the norm about the mean."""
    squares = np.asarray(vectors.multiply(vectors).sum(axis=1)).ravel()
    if similarity == COSINE:
        return np.zeros_like(squares), np.sqrt(squares)
    shift = np.asarray(vectors.sum(axis=1)).ravel() / np.sqrt(vectors.shape[1])
    spread = squares - shift * shift
    # The spread of a constant row is only cancellation error.
    return shift, np.sqrt(np.where(spread > 1e-12 * squares, spread, 0.0))


def reachable(vectors: csr_matrix, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """In rising order, the columns that share a row with a column of these rows: all that neighbours can reach."""
    own = np.unique(vectors[rows].indices)
    sharing = np.unique(vectors.T.tocsr()[own].indices)
    return np.unique(vectors[sharing].indices).astype(np.int64)


def by_neighbour(neighbours: csr_matrix, rows: NDArray[np.int64]) -> csr_matrix:
    """[all, all]: entry [i, j] is the similarity of neighbour i to row j, from `nearest` of the rising `rows`."""
    counts = np.zeros(neighbours.shape[1], dtype=np.int64)
    counts[rows] = np.diff(neighbours.indptr)
    ends = np.concatenate([[0], np.cumsum(counts)])
    return csr_matrix((neighbours.data, neighbours.indices, ends), shape=(neighbours.shape[1],) * 2).T.tocsr()


@dataclass(frozen=True)
class Fill:
    """Values [items] that are the same for all shoppers, and the items by them: highest first, ties by lower column."""

    values: NDArray[np.float64]
    order: NDArray[np.int64]

    @staticmethod
    def of(values: NDArray[np.float64]) -> "Fill":
        return Fill(values, np.argsort(-values, kind="stable"))


def best(
    left: csr_matrix, right: csr_matrix, fill: Fill, owned: csr_matrix, k: int
) -> tuple[Found[np.float64], Found[np.float64]]:
    """Columns and values [shoppers, min(k, items)] of the highest of left @ right + fill, twice: over all items, and
    without those that the shopper has in `owned`.

    Both factors are >= 0, and so is `fill`. The product is rounded to single precision; ties go to the lower column. If
    there are fewer items, the last values are minus infinity.
    """
    rows, items = left.shape[0], right.shape[1]
    count = max(0, min(k, items))
    made = [nothing_found(rows, count, np.dtype(np.float64)) for _ in range(2)]
    columns, values = (np.stack(each) for each in zip(*made, strict=True))
    if count:
        best_sums(
            left.indptr, left.indices, left.data, right.indptr, right.indices, right.data,
            fill.values, fill.order, owned.indptr, owned.indices, columns, values,
        )  # fmt: skip
    return (columns[0], values[0]), (columns[1], values[1])
