"""Places of lists that are left to chance, so that a shop learns of items that it knows too little about.

Which item is shown at such a place is drawn with known probabilities, and the probability of every item at its place is
stored with the list: what shoppers do with lists then says what another way to make lists would have earned
(experiments/).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from freshet.numeric.compiled import compiled
from freshet.ranking.histories.history_block import HistoryBlock
from freshet.ranking.ordering.ranked_lists import Ranked
from freshet.rules.arranging import Demands
from freshet.rules.list_rules import Exploration, ListRules


class Explored(NamedTuple):
    """`lists`: with drawn items in the place of others; `is_explored` [shoppers, length]: where; `propensities`
    [shoppers, length]: the probability of each item at its place, given all of the shopper's history."""

    lists: Ranked
    is_explored: NDArray[np.bool_]
    propensities: NDArray[np.float64]


def explored(
    lists: Ranked, block: HistoryBlock, weights: NDArray[np.float64], rules: ListRules, keys: NDArray[np.uint64]
) -> Explored:
    """Lists in which, with probability min(1, share * items of the list), a drawn item replaces one.

    The place is drawn from those from `first_position` on that meet no demand of another rule, all alike; the item from
    those of `rules.exploration` by `weights` [items], without the items of the list, those of the shopper's history and
    those that caps count. It gets the score of the item that it replaces, so that scores still fall. `keys`, by
    shopper, decide: the same key, list and history give the same draw.
    """
    exploration = rules.exploration
    assert exploration is not None
    pool = _pool(exploration, weights, rules)
    columns = np.where(np.isfinite(lists.scores), lists.columns, -1)
    places, is_explored = columns.copy(), np.zeros(columns.shape, dtype=np.bool_)
    propensities = np.where(columns >= 0, 1.0, 0.0)
    if len(pool.items):
        draws = [_uniform(keys, number) for number in range(2)]
        own = np.searchsorted(block.row, np.arange(block.shoppers + 1))
        _draw(
            columns, _changeable(columns, rules.demands, exploration.first_position), own,
            block.item, pool, exploration.share, draws[0], draws[1], places, is_explored, propensities,
        )  # fmt: skip
    changed = lists._replace(columns=np.where(is_explored, places, lists.columns))
    return Explored(changed, is_explored, propensities)


class _Pool(NamedTuple):
    """`items`: columns that may be drawn, rising; `weights` of these, and their sums up to each; `place` [all items]:
    the index in `items`, -1 for none."""

    items: NDArray[np.int64]
    weights: NDArray[np.float64]
    sums: NDArray[np.float64]
    place: NDArray[np.int64]


def _pool(exploration: Exploration, weights: NDArray[np.float64], rules: ListRules) -> _Pool:
    is_uncapped = np.diff(rules.caps.ends) == 0
    items = exploration.items[(weights[exploration.items] > 0) & is_uncapped[exploration.items]]
    place = np.full(len(weights), -1)
    place[items] = np.arange(len(items))
    return _Pool(items, weights[items], np.cumsum(weights[items]), place)


def _changeable(columns: NDArray[np.int64], demands: Demands, first_position: int) -> NDArray[np.bool_]:
    """[shoppers, length]: places whose item may be replaced."""
    is_demanded = np.append(np.diff(demands.ends) > 0, False)[columns]
    later = np.arange(1, columns.shape[1] + 1) >= first_position
    return (columns >= 0) & later & ~is_demanded


def _uniform(keys: NDArray[np.uint64], number: int) -> NDArray[np.float64]:
    """Numbers in [0, 1), independent for each `number` (SplitMix64, Steele, Lea and Flood 2014)."""
    with np.errstate(over="ignore"):
        state = keys + np.uint64(0x9E3779B97F4A7C15) * np.uint64(number + 1)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state ^= state >> np.uint64(31)
    return (state >> np.uint64(11)).astype(np.float64) * 2.0**-53


@compiled
def _draw(  # noqa: PLR0913 - a kernel takes plain arrays
    columns: NDArray[np.int64], changeable: NDArray[np.bool_], own_ends: NDArray[np.int64], own: NDArray[np.int64],
    pool: _Pool, share: float, which_place: NDArray[np.float64], which_item: NDArray[np.float64],
    places: NDArray[np.int64], is_explored: NDArray[np.bool_], propensities: NDArray[np.float64],
) -> None:  # fmt: skip
    last_row = np.full(len(pool.items), -1)
    for row in range(len(columns)):
        free = np.flatnonzero(changeable[row])
        if not len(free):
            continue
        excluded = np.empty(columns.shape[1] + own_ends[row + 1] - own_ends[row], np.int64)
        count, mass = 0, 0.0
        for n in range(len(excluded)):
            item = columns[row, n] if n < columns.shape[1] else own[own_ends[row] + n - columns.shape[1]]
            place = pool.place[item] if item >= 0 else -1
            if place >= 0 and last_row[place] != row:
                last_row[place] = row
                excluded[count] = place
                count += 1
                mass += pool.weights[place]
        if count == len(pool.items):
            continue
        left = pool.sums[-1] - mass
        chance = min(1.0, share * np.sum(columns[row] >= 0))
        propensities[row, free] = 1.0 - chance / len(free)
        if which_place[row] >= chance:
            continue
        place = free[min(int(which_place[row] / chance * len(free)), len(free) - 1)]
        drawn = _drawn(pool, np.sort(excluded[:count]), last_row, row, which_item[row] * left)
        places[row, place], is_explored[row, place] = pool.items[drawn], True
        propensities[row, place] = chance / len(free) * pool.weights[drawn] / left


@compiled
def _drawn(
    pool: _Pool, excluded: NDArray[np.int64], last_row: NDArray[np.int64], row: int, target: float
) -> int:  # fmt: skip
    """The first place at which the sum of weights, without those of the `excluded` places, rising, exceeds `target`."""
    for place in excluded:
        if pool.sums[place] - pool.weights[place] > target:
            break
        target += pool.weights[place]
    found = int(np.searchsorted(pool.sums, target, side="right"))
    found = found if found < len(pool.items) else len(pool.items) - 1
    # Sums are rounded: the found place may be a neighbour of the right one.
    while last_row[found] == row:
        found = found + 1 if found + 1 < len(pool.items) else 0
    return found
