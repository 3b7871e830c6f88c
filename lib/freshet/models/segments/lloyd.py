"""KMeans over all tasks of a stage: Lloyd's iterations by blocked products, from centres found on a sample.

Rows are float32 and should be centred (standardized, or minus their mean); otherwise products lose small distances.
Sums over rows are float64.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from freshet.numeric.blocks import Floats, Halves, cut
from freshet.numeric.collective import Alone, Peers

_HASH = np.uint32(0x9E3779B1)
_LEAST_MOVE = 1e-4
"""Centres that move less than this have converged; as in MLlib."""


class Clusters(NamedTuple):
    """Centres (k x columns), the sum of squared distances to the nearest one, and the number of passes.

    The cost is the one at the start of the last pass, as in MLlib; infinite when there was none.
    """

    centres: Floats
    cost: float
    passes: int


def nearest(rows: Halves, centres: Halves) -> tuple[NDArray[np.intp], Halves]:
    """The number of the nearest centre, and its squared distance minus the squared length of the row."""
    scores = rows @ (centres.T * np.float32(-2)) + np.einsum("kd,kd->k", centres, centres)
    labels = scores.argmin(axis=1)
    return labels, scores[np.arange(len(rows)), labels]


def lloyd(blocks: Sequence[Halves], start: Floats, peers: Peers, *, max_iter: int) -> Clusters:
    """Lloyd's iterations from centres `start`, until they converge or `max_iter` is reached.

    A centre that is nearest to no row does not move. Blocks of some 10,000 rows are fastest; they may be empty.
    """
    centres, cost, passes = start, np.inf, 0
    lengths = float(peers.sum(np.array([sum(np.einsum("nd,nd->", b, b, dtype=np.float64) for b in blocks)]))[0])
    for _ in range(max_iter):
        sums, below = _assigned(blocks, centres.astype(np.float32))
        packed = peers.sum(np.append(sums.ravel(), below))
        sums, cost, passes = packed[:-1].reshape(sums.shape), lengths + float(packed[-1]), passes + 1
        counts = sums[:, -1:]
        moved = np.where(counts > 0, sums[:, :-1] / np.maximum(counts, 1), centres)
        largest = np.sqrt(((moved - centres) ** 2).sum(axis=1).max())
        centres = moved
        if largest <= _LEAST_MOVE:
            break
    return Clusters(centres, max(cost, 0.0), passes)


def _assigned(blocks: Sequence[Halves], centres: Halves) -> tuple[Floats, float]:
    """Per centre the sum of its rows and, last, their number; and the sum of the distances from `nearest`."""
    k, columns = centres.shape
    sums, below = np.zeros((k, columns + 1)), 0.0
    for rows in filter(len, blocks):
        near = [nearest(piece, centres) for piece in cut(rows)]
        labels = np.concatenate([found for found, _ in near])
        below += sum(float(distances.sum(dtype=np.float64)) for _, distances in near)
        # A sparse product adds row by row, in a tenth of the time of a dense product with the memberships.
        members = csr_matrix((np.ones(len(rows), np.float32), labels, np.arange(len(rows) + 1)), (len(rows), k))
        sums[:, :-1] += members.T @ rows
        sums[:, -1] += np.bincount(labels, minlength=k)
    return sums, below


def sample(blocks: Sequence[Halves], columns: int, peers: Peers, *, at_most: int) -> Halves:
    """About `at_most` rows of all tasks, all if there are fewer; the result does not depend on partitions or order.

    Rows are chosen by a hash of their content and ordered by it.
    """
    number = float(peers.sum(np.array([float(sum(map(len, blocks)))]))[0])
    edge = np.uint32(min(1.0, at_most / max(1.0, number)) * 0xFFFFFFFF)
    chosen = [rows[_hashes(rows) <= edge] for rows in blocks]
    found = peers.stack(np.concatenate([*chosen, np.zeros((0, columns))])).astype(np.float32)
    return found[np.lexsort((*found.T, _hashes(found)))]


def _hashes(rows: Halves) -> NDArray[np.uint32]:
    bits = np.ascontiguousarray(rows + np.float32(0)).view(np.uint32)  # + 0: -0.0 and 0.0 are one value
    factors = (np.arange(1, rows.shape[1] + 1, dtype=np.uint32) * _HASH) | np.uint32(1)
    mixed = (bits * factors).sum(axis=1, dtype=np.uint32)
    # The finalizer of MurmurHash3: every bit of the sum reaches every bit of the hash.
    mixed ^= mixed >> np.uint32(16)
    mixed *= np.uint32(0x85EBCA6B)
    mixed ^= mixed >> np.uint32(13)
    mixed *= np.uint32(0xC2B2AE35)
    return mixed ^ (mixed >> np.uint32(16))


def seeded(known: Halves, k: int, peers: Peers, *, seed: int, starts: int, steps: int) -> Floats:
    """At most k centres from a sample that all tasks have: the best of `starts` seedings after `steps` of Lloyd.

    The tasks divide the starts among themselves; the result does not depend on their number. There are fewer centres
    if there are fewer distinct rows.
    """
    columns = known.shape[1]
    found = np.zeros((starts, k, columns + 1))
    costs = np.zeros(starts)
    for number in range(peers.rank, starts, peers.size):
        first = _plus_plus(known, k, np.random.default_rng([seed, number]))
        made = lloyd([known], first, Alone(), max_iter=steps)
        found[number, : len(first)] = np.column_stack([made.centres, np.ones(len(first))])
        costs[number] = made.cost
    packed = peers.sum(np.append(found.ravel(), costs))
    found, costs = packed[:-starts].reshape(found.shape), packed[-starts:]
    best = found[int(costs.argmin())]
    return best[best[:, -1] == 1, :-1]


def initial_centres(rows: Halves, k: int, *, seed: int, starts: int, steps: int) -> Floats:
    """`seeded` for rows that are all in this process."""
    return seeded(rows, k, Alone(), seed=seed, starts=starts, steps=steps)


def _plus_plus(rows: Halves, k: int, random: np.random.Generator) -> Floats:
    """Greedy k-means++ (Arthur and Vassilvitskii 2007): the best of a few draws by squared distance."""
    draws = 2 + int(np.log(k))
    lengths = np.einsum("nd,nd->n", rows, rows)
    chosen = [int(random.integers(len(rows)))]
    closest = _apart(rows, lengths, chosen)[0]
    while len(chosen) < k:
        reach = np.cumsum(closest, dtype=np.float64)
        if not reach[-1] > 0:
            break
        candidates = np.searchsorted(reach, random.random(draws) * reach[-1], side="right").clip(max=len(rows) - 1)
        improved = np.minimum(closest, _apart(rows, lengths, candidates))
        best = int(improved.sum(axis=1, dtype=np.float64).argmin())
        chosen.append(int(candidates[best]))
        closest = improved[best]
    return rows[chosen].astype(np.float64)


def _apart(rows: Halves, lengths: Halves, chosen: Sequence[int] | NDArray[np.intp]) -> Halves:
    """Squared distance of every row from each chosen one, a row of the result for each; exactly 0 to its equals."""
    made = lengths - 2 * (rows[chosen] @ rows.T) + lengths[chosen][:, None]
    # A distance within the rounding error of the lengths is 0.
    made[made <= 1e-6 * (lengths + lengths[chosen][:, None])] = 0.0
    return made
