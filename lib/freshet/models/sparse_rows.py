"""Dense rows of weights made sparse."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix


def largest(weights: NDArray[np.float32], count: int) -> csr_matrix:
    """The rows [scored, speaking] with only the `count` entries of largest size each; ties go to the lower column."""
    sizes = np.abs(weights)
    if count < sizes.shape[1]:
        edge = np.partition(sizes, sizes.shape[1] - count, axis=1)[:, -count, None]
        keep = sizes >= edge
        crowded = np.flatnonzero(np.count_nonzero(keep, axis=1) > count)
        above = sizes[crowded] > edge[crowded]
        tied = keep[crowded] & ~above
        keep[crowded] = above | (tied & (np.cumsum(tied, axis=1) <= count - above.sum(axis=1, keepdims=True)))
        weights = np.where(keep, weights, np.float32(0))
    return csr_matrix(weights)
