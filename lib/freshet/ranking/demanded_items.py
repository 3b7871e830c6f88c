"""Candidates that rules demand for a place or a share of a list, and that are not among the best items anyway."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from freshet.numeric.compiled import compiled
from freshet.numeric.top_k import Found, top_k
from freshet.ranking.artifact import Artifact
from freshet.ranking.scoring import ScoredBlock
from freshet.rules.arranging import NONE, Demands, demanded
from freshet.rules.list_rules import ListRules

_CELLS = 4_000_000
"""Scores that are computed at a time, 16 MB."""


class _Added(NamedTuple):
    """Further candidates of some rows."""

    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    scores: NDArray[np.float32]


def with_demanded_items(
    result: ScoredBlock,
    artifact: Artifact,
    rules: ListRules,
    best: Found[np.float32],
    *,
    policy: str,
    length: int,
) -> Found[np.float32]:
    """The candidates `best`, and for each demand that too few of a shopper's candidates meet, the best items that meet
    it, as many as a list of this length needs. Minus infinity marks places without a candidate."""
    columns, blended = best
    needed = demanded(rules.demands, length)
    if not needed.any():
        return best
    listed = np.where(np.isfinite(blended), columns, NONE)
    counts = np.zeros((len(columns), len(needed)), dtype=np.int64)
    _count_met(listed, rules.demands, counts)
    is_pinned = np.zeros((len(columns), length + 1), dtype=np.bool_)
    added = []
    for demand in np.flatnonzero(needed).tolist():
        position = rules.demands.position[demand]
        lacking = counts[:, demand] < needed[demand]
        if position:
            # Of several pins for a place only the first that has an item counts.
            lacking &= ~is_pinned[:, position]
        rows = np.flatnonzero(lacking)
        items = rules.demanded_items(demand) if len(rows) else rows
        if len(items):
            more = _best_of(result, artifact, items, rows, policy=policy, count=int(needed[demand]))
            added.append(more)
            counts[rows, demand] += np.isfinite(more.scores).sum(axis=1)
        if position:
            is_pinned[:, position] |= counts[:, demand] > 0
    return _merged(listed, blended, added) if added else best


def _best_of(
    result: ScoredBlock,
    artifact: Artifact,
    items: NDArray[np.int64],
    rows: NDArray[np.int64],
    *,
    policy: str,
    count: int,
) -> _Added:
    size = max(1, _CELLS // len(items))
    parts = [
        top_k(result.scores_at(artifact, policy, rows[start : start + size], items), count)
        for start in range(0, len(rows), size)
    ]
    places, scores = (np.concatenate(each) for each in zip(*parts, strict=True))
    return _Added(rows, items[places], scores)


def _merged(listed: NDArray[np.int64], blended: NDArray[np.float32], added: list[_Added]) -> Found[np.float32]:
    """All candidates side by side, each once."""
    width = listed.shape[1] + sum(more.columns.shape[1] for more in added)
    columns = np.full((len(listed), width), NONE)
    scores = np.full((len(listed), width), -np.inf, dtype=np.float32)
    columns[:, : listed.shape[1]], scores[:, : listed.shape[1]] = listed, blended
    start = listed.shape[1]
    for more in added:
        end = start + more.columns.shape[1]
        columns[more.rows, start:end] = np.where(np.isfinite(more.scores), more.columns, NONE)
        scores[more.rows, start:end] = more.scores
        start = end
    _drop_repeated(columns, listed.shape[1])
    is_left = columns != NONE
    return np.where(is_left, columns, 0), np.where(is_left, scores, np.float32(-np.inf))


@compiled
def _count_met(columns: NDArray[np.int64], demands: Demands, counts: NDArray[np.int64]) -> None:
    for row in range(len(columns)):
        for item in columns[row]:
            if item >= 0:
                for n in range(demands.ends[item], demands.ends[item + 1]):
                    counts[row, demands.numbers[n]] += 1


@compiled
def _drop_repeated(columns: NDArray[np.int64], first: int) -> None:
    """Replaces items from place `first` on by -1 that are in the same row before."""
    for row in range(len(columns)):
        for place in range(first, columns.shape[1]):
            for before in range(place):
                if columns[row, place] >= 0 and columns[row, before] == columns[row, place]:
                    columns[row, place] = -1
                    break
