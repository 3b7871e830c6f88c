"""The order of a list: the best items by the blend, corrected by the ranker of the policy if the recipe has one, and
arranged by the rules of the shopper's audience."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from freshet.numeric.top_k import Found
from freshet.ranking.artifact import Artifact
from freshet.ranking.best_items import best_items
from freshet.ranking.candidate_features import best_candidates
from freshet.ranking.histories.history_block import HistoryBlock
from freshet.ranking.ordering.demanded_items import with_demanded_items
from freshet.ranking.ranker.ranker import Ranker
from freshet.ranking.scoring import ScoredBlock
from freshet.rules.arranging import NONE, Likeness, arranged
from freshet.rules.list_rules import Diversity, ListRules, usual_prices


class Ranked(NamedTuple):
    """[shoppers, length]: columns, best first, their scores, their scores by the blend alone, and whether a rule has
    put them there instead of a better item. Minus infinity marks places without an item."""

    columns: NDArray[np.int64]
    scores: NDArray[np.float32]
    blended: NDArray[np.float32]
    is_promoted: NDArray[np.bool_]


def candidates_for(artifact: Artifact, policy: str, length: int, rules: ListRules) -> int:
    """The items of each shopper from which a list of this length is chosen."""
    ranker = artifact.recipe.rankers.get(policy)
    return max(length, rules.candidates, 0 if ranker is None else ranker.candidates)


def ranked(
    result: ScoredBlock, artifact: Artifact, *, policy: str, width: int, length: int, rules: ListRules
) -> Ranked:
    """Lists of at most `length` items; `width` as for `best_items`. Ties by lower column.

    `result` was scored without the items that `rules` leave out. Shoppers without known items keep the order by
    popularity, apart from rules.
    """
    columns, blended = best_items(result, width, candidates_for(artifact, policy, length, rules))
    if rules.candidates:
        columns, blended = with_demanded_items(
            result, artifact, rules, (columns, blended), policy=policy, length=length
        )
    elif policy not in artifact.recipe.rankers:
        return Ranked(columns, blended, blended, np.zeros(columns.shape, dtype=np.bool_))
    return ordered(result, artifact, (columns, blended), policy=policy, length=length, rules=rules)


def ordered(
    result: ScoredBlock,
    artifact: Artifact,
    candidates: Found[np.float32],
    *,
    policy: str,
    length: int,
    rules: ListRules,
) -> Ranked:
    """The first `length` of these candidates by their scores, corrected by the ranker and arranged by the rules. Ties
    by lower column; minus infinity marks places without a candidate."""
    columns, blended = candidates
    ranker = artifact.recipe.rankers.get(policy)
    scores = blended if ranker is None else _corrected(result, artifact, ranker, columns, blended)
    return by_score(result.block, artifact, columns, scores, blended, length=length, rules=rules)


def by_score(
    block: HistoryBlock,
    artifact: Artifact,
    columns: NDArray[np.int64],
    scores: NDArray[np.float32],
    blended: NDArray[np.float32],
    *,
    length: int,
    rules: ListRules,
) -> Ranked:
    """The first `length` candidates `columns` by `scores`, arranged by the rules. Ties by lower column; minus infinity
    marks places without a candidate."""
    if rules.candidates:
        return _arranged(block, artifact, rules, columns, scores, blended, length=length)
    order = np.lexsort((columns, -scores), axis=1)[:, :length]
    columns = np.take_along_axis(columns, order, axis=1)
    scores, blended = np.take_along_axis(scores, order, axis=1), np.take_along_axis(blended, order, axis=1)
    return Ranked(columns, scores, blended, np.zeros(columns.shape, dtype=np.bool_))


def _corrected(
    result: ScoredBlock,
    artifact: Artifact,
    ranker: Ranker,
    columns: NDArray[np.int64],
    blended: NDArray[np.float32],
) -> NDArray[np.float32]:
    best = best_candidates(result, artifact, ranker.features, (columns, blended))
    added = ranker.correction.sums(best.features.reshape(-1, len(ranker.features))).reshape(columns.shape)
    if result.cold is not None:
        added[result.cold] = 0.0
    return blended + added


def _arranged(
    block: HistoryBlock,
    artifact: Artifact,
    rules: ListRules,
    columns: NDArray[np.int64],
    scores: NDArray[np.float32],
    blended: NDArray[np.float32],
    *,
    length: int,
) -> Ranked:
    is_item = np.isfinite(scores)
    items = np.where(is_item, columns, 0)
    spread = _list_spread(scores, is_item, length)[:, None]
    final = scores + rules.added[items] * spread
    # Places without an item come last, before them items outside the price band.
    group = np.where(is_item, _outside_band(block, artifact, rules, items), 2)
    order = np.lexsort((items, -final, group), axis=1)
    in_order = np.take_along_axis(np.where(is_item, items, NONE), order, axis=1)
    values = np.where(is_item, final.astype(np.float64) / spread, 0.0) - _LAST * group
    in_units = np.take_along_axis(values, order, axis=1)
    likeness = _likeness(artifact, rules.diversity)
    made = arranged(in_order, in_units, rules.demands, rules.caps, likeness, length=length)
    is_listed = made.chosen != NONE
    places = np.take_along_axis(order, np.maximum(made.chosen, 0), axis=1)
    found = [np.take_along_axis(each, places, axis=1) for each in (items, final, blended)]
    nothing = np.float32(-np.inf)
    return Ranked(
        np.where(is_listed, found[0], 0), np.where(is_listed, found[1], nothing).astype(np.float32),
        np.where(is_listed, found[2], nothing), made.demand != NONE,
    )  # fmt: skip


_LAST = 1e6
"""Taken off the values of items that come after all others, in units of a list."""

_NOTHING_ALIKE = csr_matrix((0, 0), dtype=np.float32)


def _likeness(artifact: Artifact, diversity: Diversity) -> Likeness:
    alike = artifact.similarity if diversity.strength > 0 else _NOTHING_ALIKE
    return Likeness(alike.indptr, alike.indices, alike.data, diversity.strength, diversity.groups, diversity.strengths)


def _list_spread(scores: NDArray[np.float32], is_item: NDArray[np.bool_], length: int) -> NDArray[np.float32]:
    """[shoppers]: the unit of `ListRules.added`, the distance between the scores of the first and the last item of a
    list without rules; 1 where it is 0."""
    falling = -np.sort(-scores, axis=1)
    last = np.clip(np.minimum(is_item.sum(axis=1), length) - 1, 0, None)
    first, lowest = falling[:, 0], np.take_along_axis(falling, last[:, None], axis=1)[:, 0]
    spread = np.where(np.isfinite(first), first, 0) - np.where(np.isfinite(lowest), lowest, 0)
    return np.where(spread > 0, spread, 1).astype(np.float32)


def _outside_band(
    block: HistoryBlock, artifact: Artifact, rules: ListRules, items: NDArray[np.int64]
) -> NDArray[np.int64]:
    """[shoppers, candidates]: 1 for prices outside the band around the shopper's usual price, 0 also where either price
    is unknown."""
    if not rules.has_band:
        return np.zeros(items.shape, dtype=np.int64)
    taken = block.touched(artifact.recipe.target_code)
    rows = np.repeat(np.arange(taken.shape[0]), np.diff(taken.indptr))
    usual = usual_prices(rows, taken.indices.astype(np.int64), rules.prices, taken.shape[0])
    ratio = rules.prices[items] / usual[:, None]
    return ((ratio < rules.low) | (ratio > rules.high)).astype(np.int64)
