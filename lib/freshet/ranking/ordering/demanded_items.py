"""Candidates that rules demand for a place or a share of a list, and that are not among the best items anyway."""

import numpy as np
from numpy.typing import NDArray

from freshet.numeric.compiled import compiled
from freshet.numeric.top_k import Found, put
from freshet.ranking.artifact import Artifact
from freshet.ranking.scoring import ScoredBlock
from freshet.rules.arranging import NONE, Demands, demanded
from freshet.rules.list_rules import ListRules

_CELLS = 4_000_000
"""Scores that are computed at a time, 16 MB, where there are no whole rows of them."""


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
    it, as many as a list of this length needs. Of several pins for a place only the first that has an item counts.
    Minus infinity marks places without a candidate."""
    needed = demanded(rules.demands, length)
    if not needed.any():
        return best
    columns = np.where(np.isfinite(best[1]), best[0], NONE)
    counts = np.zeros((len(columns), len(needed)), dtype=np.int64)
    _count_met(columns, rules.demands, counts)
    lacking = (counts < needed) & (needed > 0)
    rows, demands = np.flatnonzero(lacking.any(axis=1)), np.flatnonzero(lacking.any(axis=0))
    if not len(rows):
        return best
    column_of, items = np.arange(len(rules.added)), np.empty(0, np.int64)
    if result.order is not None:
        ends = rules.demands.item_ends
        items = np.unique(np.concatenate([rules.demands.items[ends[n] : ends[n + 1]] for n in demands]))
        column_of = np.full(len(rules.added), NONE)
        column_of[items] = np.arange(len(items))
    added = np.full((len(rows), int(needed.sum())), NONE)
    scores = np.full(added.shape, -np.inf, dtype=np.float32)
    most = 0
    for start in range(0, len(rows), size := max(1, _CELLS // max(1, len(items)))):
        part = slice(start, start + size)
        mine = rows[part]
        of_items = result.rows if result.order is None else result.scores_at(artifact, policy, mine, items)
        places = mine if result.order is None else np.arange(len(mine))
        most = max(most, _add(columns[mine], of_items, places, column_of, rules.demands, needed, counts[mine],
                              added[part], scores[part]))  # fmt: skip
    every = np.full((len(columns), most), NONE)
    every_score = np.full((len(columns), most), -np.inf, dtype=np.float32)
    every[rows], every_score[rows] = added[:, :most], scores[:, :most]
    columns, blended = np.concatenate([columns, every], axis=1), np.concatenate([best[1], every_score], axis=1)
    return np.maximum(columns, 0), blended


@compiled
def _count_met(columns: NDArray[np.int64], demands: Demands, counts: NDArray[np.int64]) -> None:
    for row in range(len(columns)):
        for item in columns[row]:
            if item >= 0:
                for n in range(demands.ends[item], demands.ends[item + 1]):
                    counts[row, demands.numbers[n]] += 1


@compiled
def _add(  # noqa: PLR0913 - a kernel takes plain arrays
    columns: NDArray[np.int64], of_items: NDArray[np.float32], places: NDArray[np.int64], column_of: NDArray[np.int64],
    demands: Demands, needed: NDArray[np.int64], counts: NDArray[np.int64],
    added: NDArray[np.int64], scores: NDArray[np.float32],
) -> int:  # fmt: skip
    """Writes the further candidates of each row to `added` and their scores, one after the other, and returns the
    largest number of them. `of_items` [places, column_of]: the scores of items."""
    most, pinned = 0, np.zeros(demands.position.max() + 1, np.bool_)
    best, items = np.empty(needed.max(), np.float32), np.empty(needed.max(), np.int64)
    for row in range(len(columns)):
        own, size = of_items[places[row]], 0
        pinned[:] = False
        for demand in range(len(needed)):
            wanted, position = needed[demand], demands.position[demand]
            if wanted == 0 or (position > 0 and pinned[position]):
                continue
            if counts[row, demand] >= wanted:
                pinned[position] = True
                continue
            best[:wanted], items[:wanted] = -np.inf, np.iinfo(np.int64).max
            for n in range(demands.item_ends[demand], demands.item_ends[demand + 1]):
                item = demands.items[n]
                put(best[:wanted], items[:wanted], own[column_of[item]], item)
            for n in range(wanted):
                if best[n] == -np.inf:
                    break
                pinned[position] = True
                if not (np.any(columns[row] == items[n]) or np.any(added[row, :size] == items[n])):
                    added[row, size], scores[row, size] = items[n], best[n]
                    size += 1
        most = max(most, size)
    return most
