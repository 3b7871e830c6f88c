"""Implicit ALS on one machine: from a sparse matrix of strengths to vectors of shoppers and items.

Before each half-step both sides are rotated into the principal axes of the fixed side's vectors. Rotating both changes
no product x'y and makes the Gram matrix diagonal. That costs one matrix product per side and an eigendecomposition,
while conjugate gradients would multiply by the full Gram matrix in every step.

No result depends on the number of threads: every row is solved independently, Gram matrices are summed over fixed
blocks in a fixed order, and each of our threads uses one BLAS thread. So equal input and seed give equal bits on one
kind of processor; across processors and library versions vectors agree to about 1e-3 of their length.
"""

from concurrent.futures import Executor, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from freshet.models.factors.half_step import Effort, Observations, half_step, ridge
from freshet.models.factors.parameters import AlsParameters

_BLOCK_ROWS = 2048
"""Rows of a block of a Gram matrix or a rotation. The results depend on it, see above."""

_TOLERANCE = 1e-3
"""Relative residual at which a row is left until the next round, since the fixed vectors change anyway."""

_LAST = Effort(rounds=12, steps=100, tolerance=1e-5)
"""Effort of the last half-step: shoppers' vectors then equal the fold-in of the same strengths."""


class Factors(NamedTuple):
    """float32 [users, rank] and [items, rank], in the principal axes of the items' vectors."""

    users: NDArray[np.float32]
    items: NDArray[np.float32]


def training_bytes(*, pairs: int, rows: int, rank: int, threads: int) -> int:
    """Peak memory in bytes of `factorised` and of reading its input; `rows` is shoppers plus items.

    24 bytes per pair while the matrix exists in both orders, a vector and an id per row, and rank^2 for the Gram
    matrix and the axes.
    """
    return 24 * pairs + rows * (4 * rank + 200) + 4 * rank * rank * (threads + 8)


def factorised(strengths: csr_matrix, params: AlsParameters, *, cg_steps: int, threads: int) -> Factors:
    """Vectors after params.max_iter rounds (items, then shoppers) for strengths [users, items] > 0, sorted by column.

    Starting vectors of shoppers are drawn in the order of rows, so that appending rows changes none before them.
    """
    users, items = _observations(strengths, params.alpha), _observations(strengths.T.tocsr(), params.alpha)
    user_ridge, item_ridge = (
        ridge(each.counts, reg_param=params.reg_param, reg_power=params.reg_power) for each in (users, items)
    )
    X = np.random.default_rng(params.seed).standard_normal((strengths.shape[0], params.rank), dtype=np.float32)
    X *= np.float32(params.start)
    X /= np.sqrt(np.float32(params.rank))
    Y = np.zeros((strengths.shape[1], params.rank), dtype=np.float32)
    usual = Effort(1, cg_steps, _TOLERANCE)
    with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor(threads) as workers:
        for remaining in reversed(range(params.max_iter)):
            d = turned_to_axes(X, Y, workers=workers)
            half_step(items, X, d, item_ridge, Y, effort=usual, workers=workers)
            d = turned_to_axes(Y, X, workers=workers)
            half_step(users, Y, d, user_ridge, X, effort=usual if remaining else _LAST, workers=workers)
    return Factors(X, Y)


def _observations(strengths: csr_matrix, alpha: float) -> Observations:
    indptr = strengths.indptr.astype(np.int64, copy=False)
    return Observations(
        indptr, strengths.indices.astype(np.int32, copy=False), np.float32(alpha) * strengths.data.astype(np.float32)
    )


def principal_axes(
    vectors: NDArray[np.float32], *, workers: Executor
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Eigenvalues [rank], rising, and eigenvectors [rank, rank] of the Gram matrix; blocks are summed in double."""
    gram = np.zeros((vectors.shape[1], vectors.shape[1]))

    def block(start: int) -> NDArray[np.float32]:
        part = vectors[start : start + _BLOCK_ROWS]
        return part.T @ part

    for product in workers.map(block, range(0, len(vectors), _BLOCK_ROWS)):
        gram += product
    values, axes = eigh(gram.astype(np.float32), driver="evd", overwrite_a=True)
    return np.maximum(values, 0), np.ascontiguousarray(axes)


def turned_to_axes(
    vectors: NDArray[np.float32], other: NDArray[np.float32], *, workers: Executor
) -> NDArray[np.float32]:
    """Rotates both in place into the principal axes of `vectors`; returns the diagonal of the rotated Gram matrix."""
    values, axes = principal_axes(vectors, workers=workers)

    def turn(part: NDArray[np.float32]) -> None:
        part[:] = part @ axes

    list(workers.map(turn, [*_blocks(vectors), *_blocks(other)]))
    return values


def _blocks(vectors: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    return [vectors[start : start + _BLOCK_ROWS] for start in range(0, len(vectors), _BLOCK_ROWS)]
