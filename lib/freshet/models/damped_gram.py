"""Solves (X'X + reg I) w = b for many right-hand sides, X sparse [observations, items] and >= 0, in bounded memory.

The `dense_items` items with the largest diagonal, the head, have their part of X'X solved exactly, by a Cholesky
factor in single precision. Of all other items, the tail, what they share with the head is kept as it is, and what they
share with each other is moved to the diagonal: their block T of X'X becomes diag(T 1). That matrix less X'X is
diagonally dominant, so the changed one is at least as large as X'X + reg I and can always be factored: a tail item is
damped a little more than it should be, and never less. Eliminating the tail leaves one dense system of the head's
size (Schur complement). With `dense_items` at the number of items or above, nothing is approximated.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_matrix

from freshet.errors import SettingsError
from freshet.models.sparse_rows import largest

_BLOCK_CELLS = 16_000_000
"""Cells of a dense block: 64 MB in single precision."""


class DampedGram(NamedTuple):
    """The factored matrix: `factor` of the head's Schur complement, `cross` [head, tail], 1 / T's diagonal [tail]."""

    head: NDArray[np.int64]
    tail: NDArray[np.int64]
    factor: NDArray[np.float32]
    cross: csr_matrix
    tail_scale: NDArray[np.float32]

    def solved(self, right: csr_matrix, count: int) -> NDArray[np.float32]:
        """Solutions float32 [sides, items] for right-hand sides of the same shape, each a row.

        The tail's part of a solution follows from the `count` entries of its head that are largest in size: from all
        of them, and so exactly, where `count` is at least the head's length.
        """
        if not len(self.tail):
            return self._solved_head(right)
        scaled = right[:, self.tail].multiply(self.tail_scale).tocsr()
        head = self._solved_head(right[:, self.head] - scaled @ self.cross.T)
        tail = scaled - (largest(head, count) @ self.cross).multiply(self.tail_scale)
        solution = np.empty(right.shape, dtype=np.float32)
        solution[:, self.head], solution[:, self.tail] = head, tail.toarray()
        return solution

    def _solved_head(self, right: csr_matrix) -> NDArray[np.float32]:
        # The solver wants sides as columns, in column order: rows in row order, read the other way.
        sides = right.toarray().astype(np.float32, copy=False).T
        solved: NDArray[np.float32] = cho_solve((self.factor, True), sides, overwrite_b=True, check_finite=False).T
        return solved


def damped_gram(observations: csr_matrix, *, reg_param: float, dense_items: int) -> DampedGram:
    """Factors X'X + reg_param I for `observations` >= 0 and reg_param > 0; ties at the head's edge: lower columns.

    Raises SettingsError where reg_param is so small beside X'X that single precision cannot tell it from 0.
    """
    columns = observations.astype(np.float32).tocsc()
    squares = np.asarray(columns.multiply(columns).sum(axis=0)).ravel()
    by_size = np.argsort(-squares, kind="stable")
    head, tail = np.sort(by_size[:dense_items]), np.sort(by_size[dense_items:])
    of_head, of_tail = columns[:, head], columns[:, tail]
    cross = (of_head.T.tocsr() @ of_tail.tocsr()).tocsr()
    total = np.asarray(of_tail.sum(axis=1)).ravel()
    tail_scale = 1.0 / (of_tail.T @ total + np.float32(reg_param)).astype(np.float32)
    schur = _dense_product(of_head.T.tocsr(), of_head.tocsr())
    schur[np.diag_indices(len(head))] += np.float32(reg_param)
    if len(tail):
        schur -= _dense_product(cross.multiply(tail_scale).tocsr(), cross.T.tocsr())
    try:
        factor, _ = cho_factor(schur, lower=True, overwrite_a=True, check_finite=False)
    except np.linalg.LinAlgError:
        raise SettingsError(
            "the damping is too small to solve these data in single precision", where=f"reg_param {reg_param:g}"
        ) from None
    return DampedGram(head, tail, factor, cross, tail_scale)


def _dense_product(left: csr_matrix, right: csr_matrix) -> NDArray[np.float32]:
    """left @ right as a dense array in column order; the sparse product is made for some rows at a time."""
    product = np.empty((left.shape[0], right.shape[1]), dtype=np.float32, order="F")
    for start, end in blocks(left.shape[0], right.shape[1]):
        product[start:end] = (left[start:end] @ right).toarray()
    return product


def blocks(count: int, depth: int) -> list[tuple[int, int]]:
    """(start, end) of parts of 0..count such that part times depth keeps to the cells of a block; one at least."""
    size = max(1, _BLOCK_CELLS // max(1, depth))
    return [(start, min(start + size, count)) for start in range(0, count, size)]


def needed_bytes(observations: csr_matrix, *, dense_items: int, sides: int) -> int:
    """Peak memory of factoring and of `sides` solutions of which few entries are kept, before any of it is done.

    The head's square and a copy for the tail's part of it, both orders of the observations, at most 12 bytes for each
    pair of a head and a tail item that meet in an observation, and five blocks of cells.
    """
    items = observations.shape[1]
    lengths = np.diff(observations.indptr)
    head = min(dense_items, items)
    meetings = 0
    if head < items:
        counts = np.bincount(observations.indices, minlength=items)
        is_head = np.zeros(items, dtype=bool)
        is_head[np.argsort(-counts, kind="stable")[:head]] = True
        rows = np.repeat(np.arange(len(lengths)), lengths)
        in_head = np.bincount(rows, weights=is_head[observations.indices], minlength=len(lengths))
        meetings = min(int((in_head * (lengths - in_head)).sum()), head * (items - head))
    squares = 4 * head * head * (2 if head < items else 1)
    return squares + 28 * observations.nnz + 24 * meetings + 5 * 4 * max(_BLOCK_CELLS, items) + 8 * sides
