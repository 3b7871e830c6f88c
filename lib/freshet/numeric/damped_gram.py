"""Solves (X'X + reg I) w = b for many right-hand sides, X sparse [observations, items] and >= 0, in bounded memory.

The part of X'X for the `dense_items` items with the largest diagonal, the head, is solved exactly, by a Cholesky factor
in single precision. For all other items, the tail, the entries shared with the head are unchanged, and the entries
within the tail are moved to the diagonal: their block T of X'X becomes diag(T 1). The changed matrix minus X'X is
diagonally dominant, so the changed one is at least as large as X'X + reg I and can always be factored: a tail item is
damped a little more than in the exact solution, and never less. Eliminating the tail leaves one dense system of the
head's size (Schur complement). With `dense_items` at the number of items or above, nothing is approximated.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_matrix

from freshet.core.errors import SettingsError
from freshet.numeric.sparse_products import add_product, largest

_BLOCK_CELLS = 16_000_000
"""Cells of a dense block: 64 MB in single precision."""


class DampedGram(NamedTuple):
    """The factored matrix: `factor` of the head's Schur complement, 1 / T's diagonal [tail], and the block of head and
    tail, in both orders."""

    head: NDArray[np.int64]
    tail: NDArray[np.int64]
    factor: NDArray[np.float32]
    by_tail: csr_matrix
    by_head: csr_matrix
    tail_scale: NDArray[np.float32]

    def solved(self, right: NDArray[np.float32], count: int) -> NDArray[np.float32]:
        """Solutions float32 [sides, items] for right-hand sides of the same shape, one per row; they are overwritten.

        The tail's part of a solution follows from the `count` entries of its head with the largest absolute values: if
        `count` is at least the head's length, from all of them, and so exactly.
        """
        if not len(self.tail):
            return self._solved_head(right)
        # take() and not indexing, which would lay them out by column.
        scaled = np.take(right, self.tail, axis=1) * self.tail_scale
        head = np.take(right, self.head, axis=1)
        add_product(head, csr_matrix(scaled), self.by_tail, -1.0)
        head = self._solved_head(head)
        from_head = np.zeros_like(scaled)
        add_product(from_head, largest(head, count), self.by_head)
        from_head *= self.tail_scale
        scaled -= from_head
        right[:, self.head], right[:, self.tail] = head, scaled
        return right

    def _solved_head(self, sides: NDArray[np.float32]) -> NDArray[np.float32]:
        # The solver expects sides as columns in column order, which is the transpose of rows in row order.
        solved: NDArray[np.float32] = cho_solve((self.factor, True), sides.T, overwrite_b=True, check_finite=False).T
        return solved


def damped_gram(observations: csr_matrix, *, reg_param: float, dense_items: int) -> DampedGram:
    """Factors X'X + reg_param I for `observations` >= 0 and reg_param > 0; ties at the head's edge: lower columns.

    Raises SettingsError if reg_param is so small compared with X'X that single precision cannot distinguish it from 0.
    """
    columns = observations.astype(np.float32).tocsc()
    squares = np.asarray(columns.multiply(columns).sum(axis=0)).ravel()
    by_size = np.argsort(-squares, kind="stable")
    head, tail = np.sort(by_size[:dense_items]), np.sort(by_size[dense_items:])
    of_head, of_tail = columns[:, head], columns[:, tail]
    by_tail = (of_tail.T.tocsr() @ of_head.tocsr()).tocsr()
    by_head = by_tail.T.tocsr()
    total = np.asarray(of_tail.sum(axis=1)).ravel()
    tail_scale = 1.0 / (of_tail.T @ total + np.float32(reg_param)).astype(np.float32)
    schur = np.zeros((len(head), len(head)), dtype=np.float32)
    # The tail's part first: summing small numbers first keeps their digits.
    if len(tail):
        scaled = by_head.data * tail_scale[by_head.indices]
        add_product(schur, csr_matrix((scaled, by_head.indices, by_head.indptr), shape=by_head.shape), by_tail, -1.0)
    add_product(schur, of_head.T.tocsr(), of_head.tocsr())
    schur[np.diag_indices(len(head))] += np.float32(reg_param)
    try:
        # The matrix is symmetric: its transpose is in column order and is factored in place.
        factor, _ = cho_factor(schur.T, lower=True, overwrite_a=True, check_finite=False)
    except np.linalg.LinAlgError:
        raise SettingsError(
            "the damping is too small to solve these data in single precision", where=f"reg_param {reg_param:g}"
        ) from None
    return DampedGram(head, tail, factor, by_tail, by_head, tail_scale)


def blocks(count: int, depth: int) -> list[tuple[int, int]]:
    """(start, end) of parts of 0..count, at least 1 long, whose length times depth is at most the cells of a block."""
    size = max(1, _BLOCK_CELLS // max(1, depth))
    return [(start, min(start + size, count)) for start in range(0, count, size)]


def needed_bytes(observations: csr_matrix, *, dense_items: int, sides: int) -> int:
    """Peak memory in bytes of factoring and of `sides` solutions of which few entries are kept; an estimate in advance.

    The head's square, both orders of the observations, at most 28 bytes for each pair of a head and a tail item that
    occur in the same observation, and five blocks of cells.
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
    return 4 * head * head + 28 * observations.nnz + 28 * meetings + 5 * 4 * max(_BLOCK_CELLS, items) + 8 * sides
