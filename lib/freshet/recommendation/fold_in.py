"""Fold-in: a shopper's vector from the whole history, by the trainer's own normal equation.

For fixed item vectors Y, strengths r >= 0 of a shopper's items and n items of positive strength, MLlib's implicit
half-step solves  (Y'Y + Y_u' diag(alpha r) Y_u + reg n I) x = Y_u' (1 + alpha r)
(Hu, Koren, Volinsky 2008, eq. 4, with MLlib's regularisation scaled by n). The same is solved here, for many shoppers
at a time, so that a folded-in vector equals the trained one.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

_STACK_BYTES = 64 * 1024 * 1024


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

    Strengths of 0 or below are ignored.
    """
    shoppers, rank = strengths.shape[0], item_factors.shape[1]
    vectors = np.zeros((shoppers, rank), dtype=np.float32)
    block = max(1, _STACK_BYTES // (rank * rank * 8))
    for start in range(0, shoppers, block):
        rows = strengths[start : start + block]
        left, right, used = _normal_equations(rows, item_factors, gram, alpha, reg_param)
        if used.any():
            solved = np.linalg.solve(left[used], right[used][:, :, None])[:, :, 0]
            vectors[start : start + block][used] = solved
    return vectors


def _normal_equations(
    rows: csr_matrix,
    item_factors: NDArray[np.float32],
    gram: NDArray[np.float64],
    alpha: float,
    reg_param: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    count, rank = rows.shape[0], gram.shape[0]
    left = np.empty((count, rank, rank))
    right = np.zeros((count, rank))
    used = np.zeros(count, dtype=bool)
    diagonal = np.arange(rank)
    for n in range(count):
        segment = slice(rows.indptr[n], rows.indptr[n + 1])
        positive = rows.data[segment] > 0
        if not positive.any():
            continue
        used[n] = True
        extra = alpha * rows.data[segment][positive].astype(np.float64)
        vectors = item_factors[rows.indices[segment][positive]].astype(np.float64)
        np.matmul(vectors.T * extra, vectors, out=left[n])
        left[n] += gram
        left[n, diagonal, diagonal] += reg_param * len(extra)
        right[n] = (1.0 + extra) @ vectors
    return left, right, used
