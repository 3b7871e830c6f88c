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


def arranged(columns: NDArray[np.int64], demands: Demands, caps: Caps, *, length: int) -> Arranged:
    """Lists of at most `length` of the candidates `columns` [shoppers, candidates], best first, NONE for no item.

    A pin takes the best candidate that matches it, however good others are; of two pins for a place, the first counts.
    At every other place the best candidate is chosen that no cap forbids, or, as long as a share has too few items
    among the places so far, the best one that also matches the share; the first such share counts. Pinned items count
    for shares and caps, but no cap forbids them. What cannot be met is left out. Where no candidate is left, pinned
    items move up.
    """
    chosen = np.full((len(columns), length), NONE)
    demand = np.full((len(columns), length), NONE)
    _arrange(columns, demands, caps, chosen, demand)
    return Arranged(chosen, demand)


@compiled
def _arrange(
    columns: NDArray[np.int64], demands: Demands, caps: Caps, chosen: NDArray[np.int64], why: NDArray[np.int64]
) -> None:
    length = chosen.shape[1]
    counts, met = np.zeros(len(caps.most), np.int64), np.zeros(len(demands.share), np.int64)
    taken = np.zeros(columns.shape[1], np.bool_)
    pinned, pinned_by = np.empty(length, np.int64), np.empty(length, np.int64)
    for row in range(len(columns)):
        own = columns[row]
        taken[:], counts[:], met[:] = False, 0, 0
        _pin(own, taken, demands, caps, pinned, pinned_by)
        for place in range(length):
            best = _first_free(own, taken, demands, -1, caps, counts)
            pick, number = best, -1
            if pinned[place] >= 0:
                pick, number = pinned[place], pinned_by[place]
            else:
                wanted = _unmet_share(own, taken, demands, caps, counts, met, place + 1)
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
            for n in range(caps.ends[item], caps.ends[item + 1]):
                counts[caps.numbers[n]] += 1
            for n in range(demands.ends[item], demands.ends[item + 1]):
                met[demands.numbers[n]] += 1
            chosen[row, place], why[row, place] = pick, -1 if pick == best else number


@compiled
def _pin(
    own: NDArray[np.int64], taken: NDArray[np.bool_], demands: Demands, caps: Caps,
    pinned: NDArray[np.int64], pinned_by: NDArray[np.int64],
) -> None:  # fmt: skip
    """Takes the candidates of pins; writes them, and the demands, by place: -1 for none."""
    pinned[:], pinned_by[:] = -1, -1
    no_caps = np.full(len(caps.most), -1)
    for number in range(len(demands.position)):
        place = demands.position[number] - 1
        if 0 <= place < len(pinned) and pinned[place] < 0:
            candidate = _first_free(own, taken, demands, number, caps, no_caps)
            if candidate >= 0:
                pinned[place], pinned_by[place], taken[candidate] = candidate, number, True


@compiled
def _unmet_share(
    own: NDArray[np.int64], taken: NDArray[np.bool_], demands: Demands, caps: Caps, counts: NDArray[np.int64],
    met: NDArray[np.int64], places: int,
) -> tuple[int, int]:  # fmt: skip
    """A candidate for a share that has too few of the first `places` items, and the share; -1 for none."""
    for number in range(len(demands.share)):
        if met[number] < np.floor(demands.share[number] * places + _ROUNDING):
            candidate = _first_free(own, taken, demands, number, caps, counts)
            if candidate >= 0:
                return candidate, number
    return -1, -1


@compiled
def _first_free(
    own: NDArray[np.int64], taken: NDArray[np.bool_], demands: Demands, number: int, caps: Caps,
    counts: NDArray[np.int64],
) -> int:  # fmt: skip
    """The first candidate that is not taken, that meets demand `number` unless that is -1, and that no cap with these
    counts forbids; -1 for none."""
    for place in range(len(own)):
        item = own[place]
        if item < 0 or taken[place]:
            continue
        is_wanted = number < 0
        if number >= 0:
            for n in range(demands.ends[item], demands.ends[item + 1]):
                is_wanted |= demands.numbers[n] == number
        if is_wanted:
            for n in range(caps.ends[item], caps.ends[item + 1]):
                is_wanted &= counts[caps.numbers[n]] < caps.most[caps.numbers[n]]
        if is_wanted:
            return place
    return -1
