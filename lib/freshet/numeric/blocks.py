"""Rows of a partition as NumPy blocks that are small enough to stay in a core's cache during a pass."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from freshet.numeric.collective import Peers

Floats = NDArray[np.float64]
Halves = NDArray[np.float32]
_Block = TypeVar("_Block", Floats, Halves)

BLOCK_ROWS = 2048
"""The fastest of 1,024 to 20,000 rows with 64 columns: a block, its scores and its weights fit in 2 MB."""


class Moments(NamedTuple):
    """For each column over all tasks: weighted mean, unbiased weighted deviation (0 if constant), total weight."""

    mean: Floats
    deviation: Floats
    weight: float

    @property
    def scale(self) -> Floats:
        """The divisor: the deviation, or 1 for a constant column."""
        return np.where(self.deviation > 0, self.deviation, 1.0)


def cut(block: _Block) -> Iterator[_Block]:
    """`block` in pieces of at most BLOCK_ROWS rows."""
    return (block[start : start + BLOCK_ROWS] for start in range(0, len(block), BLOCK_ROWS))


def vectors(column: pa.Array) -> Floats:
    """The rows of a column of Spark's vectors, dense or sparse, as a matrix; without a copy if all are dense.

    Spark represents a vector as (type, size, indices, values): type 1 is dense, with values alone. Vectors must not be
    null and must have the same length.
    """
    values = column.field("values")
    flat = values.flatten().to_numpy(zero_copy_only=False)
    is_dense = column.field("type").to_numpy(zero_copy_only=False) == 1
    if is_dense.all():
        return flat.reshape(len(column), -1)
    lengths = np.diff(values.offsets.to_numpy())
    size = column.field("size").drop_null().to_numpy()[0]
    made = np.zeros((len(column), size))
    row = np.repeat(np.arange(len(column)), lengths)
    position = np.arange(len(flat)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    in_sparse = ~is_dense[row]
    position[in_sparse] = column.field("indices").flatten().to_numpy(zero_copy_only=False)
    made[row, position] = flat
    return made


def alike(values: Floats) -> Iterator[tuple[Floats, Floats]]:
    """The rows of `values` in blocks with equal weights, for `moments`."""
    return ((piece, np.ones(len(piece))) for piece in cut(values))


def common_width(own: int, peers: Peers) -> int:
    """The number of columns over all tasks; `own` is that of this task, 0 without rows. 0 if no task has rows."""
    return int(peers.stack(np.array([[float(own)]])).max())


def moments(blocks: Iterable[tuple[Floats, Floats]], columns: int, peers: Peers) -> Moments:
    """Moments of the columns of (rows, weights of rows) blocks, as MLlib's Summarizer defines them.

    The divisor of a variance is W - (sum of w^2) / W with W the sum of weights w: n - 1 for equal weights of 1. NaN in
    a column makes its figures NaN.
    """
    own = OwnMoments(columns)
    for rows, weights in blocks:
        own.add(rows, weights)
    return own.joined(peers)


class OwnMoments:
    """The moments of columns in one task, updated block by block."""

    def __init__(self, columns: int) -> None:
        self._weight, self._squares = 0.0, 0.0
        self._mean, self._spread = np.zeros(columns), np.zeros(columns)

    def add(self, rows: Floats, weights: Floats) -> None:
        """Adds a block."""
        more = float(weights.sum())
        if not more:
            return
        own = weights @ rows / more
        centred = rows - own
        apart = own - self._mean
        # Chan, Golub and LeVeque (1983): sums of squares of two parts, each about its own mean.
        self._spread += weights @ np.square(centred, out=centred)
        self._spread += apart**2 * (self._weight * more / (self._weight + more))
        self._mean += apart * (more / (self._weight + more))
        self._weight += more
        self._squares += float(weights @ weights)

    def joined(self, peers: Peers) -> Moments:
        """See `moments`."""
        totals = peers.sum(np.concatenate([[self._weight, self._squares], self._weight * self._mean]))
        total = totals[0]
        joint = totals[2:] / total if total else np.zeros_like(self._mean)
        spread = peers.sum(self._spread + self._weight * (self._mean - joint) ** 2)
        divisor = total - totals[1] / total if total else 0.0
        variance = spread / divisor if divisor > 0 else np.zeros_like(spread)
        # The deviation of a constant column is only rounding error.
        noise = (1e-12 * np.abs(joint)) ** 2
        return Moments(joint, np.where(variance <= noise, 0.0, np.sqrt(variance)), float(total))


def standardized(block: Floats, known: Moments) -> Halves:
    """`block` minus the mean, in deviations; constant columns become 0."""
    return ((block - known.mean) * (1.0 / known.scale)).astype(np.float32)
