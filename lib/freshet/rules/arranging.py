"""The order of a list under rules: a greedy choice from a shopper's candidates, place by place."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from freshet.numeric.compiled import compiled

NONE = -1
"""In place of a candidate or of a demand: there is none."""


class Demands(NamedTuple):
    """What rules demand for places of a list. `ends` [items + 1] and `numbers` say which demands an item meets, as in a
    sparse matrix by rows; `item_ends` [demands + 1] and `items` the same by demand, without items that may not be
    listed. `position`: the place of a pin, from 1, 0 for a share; `share`: the least share of matching items, 0 for a
    pin. Pins come first."""

    ends: NDArray[np.int64]
    numbers: NDArray[np.int32]
    item_ends: NDArray[np.int64]
    items: NDArray[np.int64]
    position: NDArray[np.int64]
    share: NDArray[np.float64]


class Caps(NamedTuple):
    """What rules limit, by item: `ends` [items + 1] and `numbers` say which caps an item counts for, as in a sparse
    matrix by rows; `most`, by cap: the most items of it in a list."""

    ends: NDArray[np.int64]
    numbers: NDArray[np.int32]
    most: NDArray[np.int64]


class Likeness(NamedTuple):
    """What makes items alike. `ends` [items + 1], `items` and `values`: the similar items of each and how similar they
    are, from 0 to 1, as in a sparse matrix by rows; `strength`: what an item loses for an item above it of similarity
    1. `groups` [rules, items]: the group of an item, -1 for none; `strengths`, by rule: what it loses for each item of
    its group above it."""

    ends: NDArray[np.int32]
    items: NDArray[np.int32]
    values: NDArray[np.float32]
    strength: float
    groups: NDArray[np.int32]
    strengths: NDArray[np.float64]


class Arranged(NamedTuple):
    """[shoppers, length]: the chosen candidates, NONE where the list has ended, and the demand because of which each
    was chosen instead of the best one, NONE where there was none."""

    chosen: NDArray[np.int64]
    demand: NDArray[np.int64]


def demanded(demands: Demands, length: int) -> NDArray[np.int64]:
    """By demand, how many matching items a list of this length needs."""
    needed = np.floor(demands.share * length + _ROUNDING).astype(np.int64)
    return np.where(demands.position > 0, (demands.position <= length).astype(np.int64), needed)


_ROUNDING = 1e-9
"""0.2 * 15 is slightly less than 3 in binary numbers."""


def arranged(
    columns: NDArray[np.int64], values: NDArray[np.float64], demands: Demands, caps: Caps, likeness: Likeness, *,
    length: int,
) -> Arranged:  # fmt: skip
    """Lists of at most `length` of the candidates `columns` [shoppers, candidates], NONE for no item, by their falling
    `values`. Where `likeness` has a strength, an item's value falls with every item above it that is alike (maximal
    marginal relevance, Carbonell and Goldstein 1998, with sums as in Borodin et al. 2012). Ties go to the first.

    A pin takes the best candidate that matches it, however good others are; of two pins for a place, the first counts.
    At every other place the best candidate is chosen that no cap forbids, or, as long as a share has too few items
    among the places so far, the best one that also matches the share; the first such share counts. Pinned items count
    for shares and caps, but no cap forbids them. What cannot be met is left out. Where no candidate is left, pinned
    items move up.
    """
    chosen = np.full((len(columns), length), NONE)
    demand = np.full((len(columns), length), NONE)
    _arrange(columns, values, demands, caps, likeness, chosen, demand)
    return Arranged(chosen, demand)


@compiled
def _arrange(
    columns: NDArray[np.int64], values: NDArray[np.float64], demands: Demands, caps: Caps, likeness: Likeness,
    chosen: NDArray[np.int64], why: NDArray[np.int64],
) -> None:  # fmt: skip
    length, is_diverse = chosen.shape[1], likeness.strength > 0 or len(likeness.strengths) > 0
    place_of = np.full(len(likeness.ends), NONE)
    counts, met = np.zeros(len(caps.most), np.int64), np.zeros(len(demands.share), np.int64)
    taken = np.zeros(columns.shape[1], np.bool_)
    pinned, pinned_by = np.empty(length, np.int64), np.empty(length, np.int64)
    for row in range(len(columns)):
        own, value = columns[row], values[row].copy()
        taken[:], counts[:], met[:] = False, 0, 0
        if likeness.strength > 0:
            _index(own, place_of, is_known=True)
        _pin(own, value, taken, demands, caps, pinned, pinned_by)
        for place in range(length):
            best = _best_free(own, value, taken, demands, -1, caps, counts)
            pick, number = best, -1
            if pinned[place] >= 0:
                pick, number = pinned[place], pinned_by[place]
            else:
                wanted = _unmet_share(own, value, taken, demands, caps, counts, met, place + 1)
                if wanted[0] >= 0:
                    pick, number = wanted
            for later in range(place + 1, length if pick < 0 else 0):
                if pinned[later] >= 0:
                    pick, number, pinned[later] = pinned[later], pinned_by[later], -1
                    break
            if pick < 0:
                break
            taken[pick] = True
            item = own[pick]
            _add_one(caps.ends, caps.numbers, item, counts)
            _add_one(demands.ends, demands.numbers, item, met)
            chosen[row, place], why[row, place] = pick, -1 if pick == best else number
            if is_diverse:
                _lower(own, value, place_of, item, likeness)
        if likeness.strength > 0:
            _index(own, place_of, is_known=False)


@compiled
def _add_one(ends: NDArray[np.int64], numbers: NDArray[np.int32], item: int, counts: NDArray[np.int64]) -> None:
    """Adds 1 to the counts of all that an item counts for."""
    for n in range(ends[item], ends[item + 1]):
        counts[numbers[n]] += 1


@compiled
def _index(own: NDArray[np.int64], place_of: NDArray[np.int64], is_known: bool) -> None:
    """Writes the place of each candidate to `place_of` [items], or NONE."""
    for place in range(len(own)):
        if own[place] >= 0:
            place_of[own[place]] = place if is_known else NONE


@compiled
def _lower(
    own: NDArray[np.int64], value: NDArray[np.float64], place_of: NDArray[np.int64], item: int, likeness: Likeness
) -> None:
    """Lowers the values of candidates that are like an item."""
    if likeness.strength > 0:
        for n in range(likeness.ends[item], likeness.ends[item + 1]):
            place = place_of[likeness.items[n]]
            if place >= 0:
                value[place] -= likeness.strength * likeness.values[n]
    for rule in range(len(likeness.strengths)):
        group = likeness.groups[rule, item]
        for place in range(len(own) if group >= 0 else 0):
            if own[place] >= 0 and likeness.groups[rule, own[place]] == group:
                value[place] -= likeness.strengths[rule]


@compiled
def _pin(
    own: NDArray[np.int64], value: NDArray[np.float64], taken: NDArray[np.bool_], demands: Demands, caps: Caps,
    pinned: NDArray[np.int64], pinned_by: NDArray[np.int64],
) -> None:  # fmt: skip
    """Takes the candidates of pins; writes them, and the demands, by place: -1 for none."""
    pinned[:], pinned_by[:] = -1, -1
    no_caps = np.full(len(caps.most), -1)
    for number in range(len(demands.position)):
        place = demands.position[number] - 1
        if 0 <= place < len(pinned) and pinned[place] < 0:
            candidate = _best_free(own, value, taken, demands, number, caps, no_caps)
            if candidate >= 0:
                pinned[place], pinned_by[place], taken[candidate] = candidate, number, True


@compiled
def _unmet_share(
    own: NDArray[np.int64], value: NDArray[np.float64], taken: NDArray[np.bool_], demands: Demands, caps: Caps,
    counts: NDArray[np.int64], met: NDArray[np.int64], places: int,
) -> tuple[int, int]:  # fmt: skip
    """A candidate for a share that has too few of the first `places` items, and the share; -1 for none."""
    for number in range(len(demands.share)):
        if met[number] < np.floor(demands.share[number] * places + _ROUNDING):
            candidate = _best_free(own, value, taken, demands, number, caps, counts)
            if candidate >= 0:
                return candidate, number
    return -1, -1


@compiled
def _best_free(
    own: NDArray[np.int64], value: NDArray[np.float64], taken: NDArray[np.bool_], demands: Demands, number: int,
    caps: Caps, counts: NDArray[np.int64],
) -> int:  # fmt: skip
    """The candidate of the highest value that is not taken, that meets demand `number` unless that is -1, and that no
    cap with these counts forbids; -1 for none."""
    best = -1
    for place in range(len(own)):
        item = own[place]
        if item < 0 or taken[place] or (best >= 0 and value[place] <= value[best]):
            continue
        is_wanted = number < 0
        if number >= 0:
            for n in range(demands.ends[item], demands.ends[item + 1]):
                is_wanted |= demands.numbers[n] == number
        if is_wanted:
            for n in range(caps.ends[item], caps.ends[item + 1]):
                is_wanted &= counts[caps.numbers[n]] < caps.most[caps.numbers[n]]
        if is_wanted:
            best = place
    return best
