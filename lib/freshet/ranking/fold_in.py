"""Fold-in: a shopper's vector from the whole history, by the normal equation of the training.

For fixed item vectors Y, strengths r >= 0 of a shopper's items and n items of positive strength, the equation is that
of models/factors/parameters.py: (Y'Y + Y_u' diag(alpha r) Y_u + reg_param n^reg_power I) x = Y_u' (1 + alpha r). It is
solved by the kernel of the training, for many shoppers at a time, so that a folded-in vector equals the trained one.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dposv
from scipy.sparse import csr_matrix

from freshet.models.factors.half_step import NO_REST, Effort, ridge, solve_rows
from freshet.models.factors.parameters import AlsParameters

_EFFORT = Effort(rounds=12, steps=100, tolerance=1e-5)
"""With this effort errors are about 1e-5 of a vector's length."""


_ROUNDING = 2e-5
"""The rest of the Gram matrix is ignored up to this size, relative to its diagonal and the smallest ridge. In the
principal axes that a training ends with, rounding leaves a rest of 7e-6 at rank 64 and 1e-5 at rank 256. There a
shopper with 27 items takes 26 us without the rest and 31 with it."""


def gram_matrix(item_factors: NDArray[np.float32]) -> NDArray[np.float64]:
    """Y'Y, [rank, rank], summed in double precision as MLlib does."""
    wide = item_factors.astype(np.float64)
    return wide.T @ wide


def folded_in(
    strengths: csr_matrix, item_factors: NDArray[np.float32], gram: NDArray[np.float64], params: AlsParameters
) -> NDArray[np.float32]:
    """Vectors [shoppers, rank] for strengths [shoppers, items]; a shopper without positive strength gets zeros.

    Strengths of 0 or below are ignored. A shopper's vector does not depend on the others in the block. If the Gram
    matrix is far from diagonal, the kernel may not converge for a vector; Cholesky in double precision then solves it.
    Raises numpy.linalg.LinAlgError when an equation has no unique solution, which can happen only with `reg_param` 0.
    """
    shoppers, rank = strengths.shape[0], item_factors.shape[1]
    vectors = np.zeros((shoppers, rank), dtype=np.float32)
    if rank == 0:
        return vectors
    positive = strengths.data > 0
    indptr = np.concatenate([[0], np.cumsum(positive, dtype=np.int64)])[strengths.indptr]
    columns = strengths.indices[positive].astype(np.int32, copy=False)
    extra = (params.alpha * strengths.data[positive]).astype(np.float32)
    ridges = ridge(np.diff(indptr), reg_param=params.reg_param, reg_power=params.reg_power)
    settled = np.empty(shoppers, dtype=np.bool_)
    diagonal = np.diagonal(gram)
    rest = _rest(gram, params)
    solve_rows(
        0, shoppers, indptr, columns, extra, item_factors, diagonal.astype(np.float32), rest, ridges, vectors,
        settled, _EFFORT.rounds, _EFFORT.steps, np.float32(_EFFORT.tolerance),
    )  # fmt: skip
    for shopper in np.flatnonzero(~settled):
        own = slice(indptr[shopper], indptr[shopper + 1])
        vectors[shopper] = _solved(item_factors[columns[own]], extra[own], gram, ridges[shopper])
    return vectors


def _rest(gram: NDArray[np.float64], params: AlsParameters) -> NDArray[np.float32]:
    """The Gram matrix without its diagonal; NO_REST if that is only rounding error."""
    diagonal = np.diagonal(gram)
    rest = gram - np.diag(diagonal)
    # The ridge of one observation is the smallest, so the limit for rounding error is the same for all shoppers.
    scale = np.sqrt(np.maximum(diagonal + params.reg_param, np.finfo(np.float64).tiny))
    return NO_REST if np.linalg.norm(rest / scale / scale[:, None]) <= _ROUNDING else rest.astype(np.float32)


def _solved(
    item_vectors: NDArray[np.float32], extra: NDArray[np.float32], gram: NDArray[np.float64], own_ridge: np.float32
) -> NDArray[np.float64]:
    wide, weights = item_vectors.astype(np.float64), extra.astype(np.float64)
    left = gram + (wide.T * weights) @ wide + np.float64(own_ridge) * np.eye(len(gram))
    _, solution, failed = dposv(left, (1.0 + weights) @ wide)
    if failed:
        raise np.linalg.LinAlgError("a fold-in has no single solution: reg_param must be above 0")
    return solution
