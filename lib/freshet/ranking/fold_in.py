"""Fold-in: a shopper's vector from the whole history, by the trainer's own normal equation.

For fixed item vectors Y, strengths r >= 0 of a shopper's items and n items of positive strength, the equation is that
of models/factors/parameters.py: (Y'Y + Y_u' diag(alpha r) Y_u + reg_param n^reg_power I) x = Y_u' (1 + alpha r). It is
solved by the trainer's own kernel, for many shoppers at a time, so that a folded-in vector equals the trained one.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dposv
from scipy.sparse import csr_matrix

from freshet.models.factors.half_step import NO_REST, Effort, ridge, solve_rows
from freshet.models.factors.parameters import AlsParameters

_EFFORT = Effort(rounds=12, steps=100, tolerance=1e-5)
"""Errors are then about 1e-5 of a vector's length."""


_ROUNDING = 2e-5
"""Size of the Gram matrix's rest, against its diagonal and the smallest ridge, up to which it is left out: in the
principal axes that a training ends in, rounding leaves 7e-6 of it at rank 64 and 1e-5 at rank 256, where a shopper with
27 items takes 26 us instead of 31 without it."""


def gram_matrix(item_factors: NDArray[np.float32]) -> NDArray[np.float64]:
    """Y'Y, [rank, rank], summed in double precision as MLlib does."""
    wide = item_factors.astype(np.float64)
    return wide.T @ wide


def folded_in(
    strengths: csr_matrix, item_factors: NDArray[np.float32], gram: NDArray[np.float64], params: AlsParameters
) -> NDArray[np.float32]:
    """Vectors [shoppers, rank] for strengths [shoppers, items]; a shopper without positive strength gets zeros.

    Strengths of 0 or below are ignored. A shopper's vector does not depend on who else is in the block. Where the Gram
    matrix is far from diagonal the kernel may not settle a vector; Cholesky in double precision then does. Raises
    numpy.linalg.LinAlgError when an equation has no single solution, which only a `reg_param` of 0 can bring about.
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
    """The Gram matrix without its diagonal; NO_REST where that is rounding."""
    diagonal = np.diagonal(gram)
    rest = gram - np.diag(diagonal)
    # Of one observation the ridge is the smallest: what counts as rounding is the same for all shoppers.
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
