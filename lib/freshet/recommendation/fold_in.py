"""Fold-in: a shopper's vector from the whole history, by the trainer's own normal equation.

For fixed item vectors Y, strengths r >= 0 of a shopper's items and n items of positive strength, MLlib's implicit
half-step solves  (Y'Y + Y_u' diag(alpha r) Y_u + reg n I) x = Y_u' (1 + alpha r)
(Hu, Koren, Volinsky 2008, eq. 4, with MLlib's regularisation scaled by n). The same is solved here, for many shoppers
at a time, so that a folded-in vector equals the trained one.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dposv
from scipy.sparse import csr_matrix

_BLOCK_VALUES = 1_000_000
"""Doubles of the gathered item vectors of a block of shoppers: 8 MB, twice, and as much for their equations."""


def gram_matrix(item_factors: NDArray[np.float32]) -> NDArray[np.float64]:
    """Y'Y, [rank, rank], summed in double precision as MLlib does."""
    wide = item_factors.astype(np.float64)
    return wide.T @ wide


def folded_in(
    strengths: csr_matrix,
    item_factors: NDArray[np.float32],
    gram: NDArray[np.float64],
    *,
    alpha: float,
    reg_param: float,
) -> NDArray[np.float32]:
    """Vectors [shoppers, rank] for strengths [shoppers, items]; a shopper without positive strength gets zeros.

    Strengths of 0 or below are ignored. A shopper's vector does not depend on who else is in the block. Raises
    numpy.linalg.LinAlgError when an equation has no single solution, which only a `reg_param` of 0 can bring about.
    """
    shoppers, rank = strengths.shape[0], item_factors.shape[1]
    vectors = np.zeros((shoppers, rank), dtype=np.float32)
    if rank == 0:
        return vectors
    positive = strengths.data > 0
    kept = np.concatenate([[0], np.cumsum(positive)])[strengths.indptr]
    columns, extra = strengths.indices[positive], alpha * strengths.data[positive].astype(np.float64)
    start = 0
    while start < shoppers:
        full = int(np.searchsorted(kept, kept[start] + _BLOCK_VALUES // rank, side="right")) - 1
        stop = min(max(full, start + 1), start + max(1, _BLOCK_VALUES // rank**2), shoppers)
        part = slice(kept[start], kept[stop])
        places = kept[start : stop + 1] - kept[start]
        vectors[start:stop] = _solved(item_factors[columns[part]], extra[part], places, gram, reg_param)
        start = stop
    return vectors


def _solved(
    item_vectors: NDArray[np.float32],
    extra: NDArray[np.float64],
    places: NDArray[np.int64],
    gram: NDArray[np.float64],
    reg_param: float,
) -> NDArray[np.float64]:
    """Solutions of the shoppers whose items stand at places[n]:places[n + 1]; `extra` is alpha r."""
    counts = np.diff(places)
    rank = gram.shape[0]
    wide = item_vectors.astype(np.float64)
    rooted = wide * np.sqrt(extra)[:, None]
    left = np.zeros((len(counts), rank, rank))
    solutions = np.zeros((len(counts), rank))
    for n in np.flatnonzero(counts):
        own = rooted[places[n] : places[n + 1]]
        # A product with its own transpose costs NumPy half of a general one.
        np.matmul(own.T, own, out=left[n])
    left += gram
    diagonal = np.arange(rank)
    left[:, diagonal, diagonal] += (reg_param * counts)[:, None]
    for n in np.flatnonzero(counts):
        segment = slice(places[n], places[n + 1])
        # Transposed, the symmetric equation is in LAPACK's own order and is solved in place, by Cholesky.
        _, solutions[n], failed = dposv(left[n].T, (1.0 + extra[segment]) @ wide[segment], overwrite_a=1)
        if failed:
            raise np.linalg.LinAlgError("a fold-in has no single solution: reg_param must be above 0")
    return solutions
