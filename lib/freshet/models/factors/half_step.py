"""The half-step of implicit ALS for many rows at a time: conjugate gradients on each row's normal equation.

For fixed vectors Y, Gram matrix G = Y'Y, weights c = alpha r of a row's observations and its ridge l, a row solves
(G + l I + Y_u' diag(c) Y_u) x = Y_u' (1 + c). The matrix is never formed: a step costs two passes over the row's own
vectors, which stay in the processor's cache from one step to the next.

G is split into a diagonal and a rest. In the principal axes of Y (see factorisation.py) the rest is rounding error:
the steps ignore it, and each round of iterative refinement includes it through the residual. The preconditioner is
diagonal.
Source: Takacs, Pilaszy, Tikk 2011, "Applications of the conjugate gradient method for implicit feedback".
"""

from concurrent.futures import Executor
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from freshet.numeric.compiled import compiled

_ROW_WEIGHT = 8
"""Fixed cost of a row, in observations; used only to divide the work evenly."""


_ROUND = np.float32(1e-3)
"""Factor by which a round reduces the residual before the rest of G is included again."""

NO_REST = np.empty((0, 0), dtype=np.float32)


_PIECES = 64
"""Parts of a half-step: many more than threads, so that all threads end at about the same time."""


class Observations(NamedTuple):
    """Positive observations by row: row n has the entries indptr[n]:indptr[n + 1] of the other two.

    indptr int64 [rows + 1], columns int32 into the fixed vectors, extra float32: alpha times strength.
    """

    indptr: NDArray[np.int64]
    columns: NDArray[np.int32]
    extra: NDArray[np.float32]

    @property
    def counts(self) -> NDArray[np.int64]:
        """Observations by row."""
        return np.diff(self.indptr)


class Effort(NamedTuple):
    """Maximal rounds, conjugate gradient steps in each, and the relative residual at which a row counts as solved."""

    rounds: int
    steps: int
    tolerance: float


def ridge(counts: NDArray[np.int64], *, reg_param: float, reg_power: float) -> NDArray[np.float32]:
    """reg_param n^reg_power by row; rows without observations, which are not solved anyway, get the value for n = 1."""
    return (reg_param * np.maximum(counts, 1).astype(np.float64) ** reg_power).astype(np.float32)


def half_step(
    rows: Observations,
    vectors: NDArray[np.float32],
    diagonal: NDArray[np.float32],
    ridges: NDArray[np.float32],
    solutions: NDArray[np.float32],
    *,
    effort: Effort,
    workers: Executor,
) -> None:
    """Improves `solutions` [rows, rank] in place, starting from their current values, in parallel parts.

    `vectors` [columns, rank] are in their principal axes, `diagonal` [rank] is that of their Gram matrix. Rows without
    observations become zero. Rows are independent, so the result does not depend on parts or threads.
    """
    weight = rows.indptr + _ROW_WEIGHT * np.arange(len(rows.indptr))
    edges = np.searchsorted(weight, np.linspace(0, weight[-1], _PIECES + 1))
    parts = [(int(start), int(stop)) for start, stop in pairwise(edges) if stop > start]

    settled = np.empty(len(solutions), dtype=np.bool_)

    def work(part: tuple[int, int]) -> None:
        solve_rows(
            *part, rows.indptr, rows.columns, rows.extra, vectors, diagonal, NO_REST, ridges, solutions,
            settled, effort.rounds, effort.steps, np.float32(effort.tolerance),
        )  # fmt: skip

    list(workers.map(work, parts))


@compiled
def solve_rows(  # noqa: PLR0913 - a kernel takes plain arrays
    start: int,
    stop: int,
    indptr: NDArray[np.int64],
    columns: NDArray[np.int32],
    extra: NDArray[np.float32],
    vectors: NDArray[np.float32],
    diagonal: NDArray[np.float32],
    rest: NDArray[np.float32],
    ridges: NDArray[np.float32],
    solutions: NDArray[np.float32],
    settled: NDArray[np.bool_],
    rounds: int,
    steps: int,
    tolerance: np.float32,
) -> None:
    """Solves rows start:stop from their current x: up to `rounds` residuals, each followed by up to `steps` steps.

    A row ends when its residual, in the preconditioner's norm, is below `tolerance` times that of b. `settled` is set
    to whether a computed residual was that small; with one round, only whether the initial x already was.
    """
    rank = vectors.shape[1]
    # Separate arrays: rows of one array would be treated as strided and would not use vector registers.
    b, r, p = np.empty(rank, np.float32), np.empty(rank, np.float32), np.empty(rank, np.float32)
    q, inverse = np.empty(rank, np.float32), np.empty(rank, np.float32)
    for row in range(start, stop):
        first, last, x, own = indptr[row], indptr[row + 1], solutions[row], ridges[row]
        settled[row] = first == last
        if first == last:
            x[:] = 0
            continue
        _right_side(columns[first:last], extra[first:last], vectors, b, q)
        size = np.float32(0)
        for f in range(rank):
            inverse[f] = np.float32(1) / (diagonal[f] + own + q[f])
            size += b[f] * b[f] * inverse[f]
        goal = tolerance * tolerance * size
        for _ in range(rounds):
            _times(columns[first:last], extra[first:last], vectors, diagonal, own, x, q)
            _add_rest(rest, x, q)
            rz = np.float32(0)
            for f in range(rank):
                r[f] = b[f] - q[f]
                p[f] = inverse[f] * r[f]
                rz += r[f] * p[f]
            if rz <= goal:
                settled[row] = True
                break
            enough = max(goal, _ROUND * _ROUND * rz)
            for _ in range(steps):
                _times(columns[first:last], extra[first:last], vectors, diagonal, own, p, q)
                pq = np.float32(0)
                for f in range(rank):
                    pq += p[f] * q[f]
                length, before = rz / pq, rz
                rz = np.float32(0)
                for f in range(rank):
                    x[f] += length * p[f]
                    r[f] -= length * q[f]
                    rz += r[f] * r[f] * inverse[f]
                if not rz > enough:
                    break
                for f in range(rank):
                    p[f] = inverse[f] * r[f] + rz / before * p[f]


@compiled
def _right_side(
    columns: NDArray[np.int32],
    extra: NDArray[np.float32],
    vectors: NDArray[np.float32],
    b: NDArray[np.float32],
    squares: NDArray[np.float32],
) -> None:
    """b = Y_u' (1 + c), squares = the diagonal of Y_u' diag(c) Y_u."""
    b[:] = 0
    squares[:] = 0
    for n in range(len(columns)):
        y, c = vectors[columns[n]], extra[n]
        for f in range(len(b)):
            b[f] += (np.float32(1) + c) * y[f]
            squares[f] += c * y[f] * y[f]


@compiled
def _times(
    columns: NDArray[np.int32],
    extra: NDArray[np.float32],
    vectors: NDArray[np.float32],
    diagonal: NDArray[np.float32],
    own: np.float32,
    p: NDArray[np.float32],
    out: NDArray[np.float32],
) -> None:
    """out = (diagonal + l I + Y_u' diag(c) Y_u) p. Four vectors at a time, so p and out are read a quarter as often."""
    rank, count = len(p), len(columns)
    for f in range(rank):
        out[f] = (diagonal[f] + own) * p[f]
    fours = count - count % 4
    for n in range(0, fours, 4):
        y0, y1, y2, y3 = vectors[columns[n]], vectors[columns[n + 1]], vectors[columns[n + 2]], vectors[columns[n + 3]]
        s0 = s1 = s2 = s3 = np.float32(0)
        for f in range(rank):
            s0 += y0[f] * p[f]
            s1 += y1[f] * p[f]
            s2 += y2[f] * p[f]
            s3 += y3[f] * p[f]
        s0, s1, s2, s3 = s0 * extra[n], s1 * extra[n + 1], s2 * extra[n + 2], s3 * extra[n + 3]
        for f in range(rank):
            out[f] += s0 * y0[f] + s1 * y1[f] + s2 * y2[f] + s3 * y3[f]
    for n in range(fours, count):
        y = vectors[columns[n]]
        s = np.float32(0)
        for f in range(rank):
            s += y[f] * p[f]
        s *= extra[n]
        for f in range(rank):
            out[f] += s * y[f]


@compiled
def _add_rest(rest: NDArray[np.float32], x: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    """out += rest x; an empty rest adds nothing."""
    for f in range(len(rest)):
        line, total = rest[f], np.float32(0)
        for g in range(len(x)):
            total += line[g] * x[g]
        out[f] += total
