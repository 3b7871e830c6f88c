"""The search for segments, which runs in the tasks that hold the shoppers."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from freshet.models.segments.lloyd import lloyd, nearest, sample, seeded
from freshet.numeric.blocks import Floats, Halves, alike, moments, standardized
from freshet.numeric.collective import Peers

_STARTS, _STEPS, _SAMPLE_ROWS = 4, 20, 10_000
"""Seedings for each number of segments, iterations of each, and shoppers of the sample."""


@dataclass(frozen=True)
class SegmentSearch:
    """Numbers of segments to try, on rows with `columns` columns to cluster by and `roles` columns to name by.

    The rest is as in SegmentParameters.
    """

    columns: int
    roles: int
    least_segments: int
    most_segments: int
    min_shoppers: int
    sample_shoppers: int
    min_share: float
    seed: int
    max_iter: int


class _Groups(NamedTuple):
    """Clusters for one number of segments: standardized centres, silhouette on the sample, smallest size."""

    centres: Floats
    silhouette: float
    smallest: float
    cost: float
    passes: int


def searched_segments(search: SegmentSearch, batches: Iterator[pa.RecordBatch], peers: Peers) -> dict[str, Floats]:
    """The work of one task on its rows (0 to 1 by a hash of the shopper, the columns, the columns of roles).

    Returns shoppers (their number), tried (numbers of segments), silhouettes (of each), mean and deviation of the
    columns, chosen (the number with the highest silhouette, of equals the smaller, among those whose smallest segment
    holds `min_share` of the shoppers; among all if there are none), and for the chosen number the centres in standard
    deviations, outcome (cost, passes) and positions (mean of each role's column over each cluster, in deviations from
    the mean of all). `tried` is empty when there are fewer than `min_shoppers`, or fewer distinct ones than
    `least_segments`; the rest is then missing.
    """
    sampling, values, roles = _read(search, batches)
    shoppers = float(peers.sum(np.array([float(len(sampling))]))[0])
    counted = {"shoppers": np.array(shoppers), "tried": np.zeros(0)}
    if shoppers < search.min_shoppers or not shoppers:
        return counted
    known = moments(alike(values), search.columns, peers)
    if not np.isfinite(known.mean).all():
        return {**counted, "scaling": np.stack([known.mean, known.scale])}
    rows = standardized(values, known)
    sampled = rows[sampling < search.sample_shoppers / shoppers]
    found = _tried(search, rows, sampled, peers)
    if not found:
        return counted
    # A handful of outliers is far from all others, but too small a group to address.
    large_enough = {k: groups for k, groups in found.items() if groups.smallest >= search.min_share * shoppers}
    best = max(large_enough or found, key=lambda k: (found[k].silhouette, -k))
    chosen = found[best]
    return {
        "shoppers": np.array(shoppers),
        "tried": np.array(list(found), dtype=np.float64),
        "silhouettes": np.array([groups.silhouette for groups in found.values()]),
        "chosen": np.array(float(best)),
        "scaling": np.stack([known.mean, known.scale]),
        "centres": chosen.centres,
        "outcome": np.array([chosen.cost, float(chosen.passes)]),
        "positions": _positions(rows, roles, chosen.centres, peers),
    }


def _tried(search: SegmentSearch, rows: Halves, judges: Halves, peers: Peers) -> dict[int, _Groups]:
    """The clusters of every number of segments for which there are enough distinct shoppers, by number."""
    known = sample([rows], search.columns, peers, at_most=_SAMPLE_ROWS)
    different = len(np.unique(known, axis=0))
    found = {}
    for k in range(search.least_segments, min(search.most_segments, different) + 1):
        start = seeded(known, k, peers, seed=search.seed, starts=_STARTS, steps=_STEPS)
        made = lloyd([rows], start, peers, max_iter=search.max_iter)
        if len(made.centres) == k:
            smallest = peers.sum(_members(rows, made.centres).sum(axis=0)).min()
            silhouette = _silhouette(judges, made.centres, peers)
            found[k] = _Groups(made.centres, silhouette, float(smallest), made.cost, made.passes)
    return found


def _members(rows: Halves, centres: Floats) -> Floats:
    """(rows x clusters): 1 where the cluster's centre is the row's nearest, else 0."""
    labels, _ = nearest(rows, centres.astype(np.float32))
    return (labels[:, None] == np.arange(len(centres))).astype(np.float64)


def _silhouette(judges: Halves, centres: Floats, peers: Peers) -> float:
    """The mean silhouette of the sample by squared Euclidean distance; -1 if all its rows are in one cluster.

    The mean squared distance of a row x to a cluster follows from the cluster's count, sum and sum of squares:
    |x|^2 + squares / count - 2 x * sum / count (as in MLlib's ClusteringEvaluator). The distance to its own cluster
    excludes the row itself; a row that is alone in its cluster has silhouette 0.
    """
    rows, members = judges.astype(np.float64), _members(judges, centres)
    lengths = (rows**2).sum(axis=1)
    totals = peers.sum(np.column_stack([members.sum(axis=0), members.T @ lengths, members.T @ rows]))
    number, squares, sums = totals[:, 0], totals[:, 1], totals[:, 2:]
    if (number > 0).sum() < 2:
        return -1.0
    divisor = np.maximum(number, 1.0)
    apart = lengths[:, None] + squares / divisor - 2 * rows @ (sums / divisor[:, None]).T
    own_number = members @ number
    own = (apart * members).sum(axis=1) * own_number / np.maximum(own_number - 1, 1.0)
    other = np.where((members > 0) | (number == 0), np.inf, apart).min(axis=1)
    largest = np.maximum(own, other)
    each = np.where((own_number > 1) & (largest > 0), (other - own) / np.where(largest > 0, largest, 1.0), 0.0)
    summed, judged = peers.sum(np.array([each.sum(), float(len(each))]))
    return float(summed / judged)


def _positions(rows: Halves, roles: Floats, centres: Floats, peers: Peers) -> Floats:
    """(clusters x roles): the mean of each cluster, in deviations from the mean of all; 0 for an empty cluster."""
    members = _members(rows, centres)
    overall = moments(alike(roles), roles.shape[1], peers)
    scaled = (roles - overall.mean) / overall.scale
    totals = peers.sum(np.column_stack([members.sum(axis=0), members.T @ scaled]))
    return totals[:, 1:] / np.maximum(totals[:, :1], 1.0)


def _read(search: SegmentSearch, batches: Iterator[pa.RecordBatch]) -> tuple[Floats, Floats, Floats]:
    """Sampling values, columns and columns of the roles; without rows the arrays have none."""
    parts = [np.column_stack([column.to_numpy() for column in batch.columns]) for batch in batches]
    rows = np.concatenate([np.zeros((0, 1 + search.columns + search.roles)), *parts])
    return rows[:, 0], rows[:, 1 : 1 + search.columns], rows[:, 1 + search.columns :]
