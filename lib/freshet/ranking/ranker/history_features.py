"""Features from the history of a shopper: of each item by itself, and of the shopper as a whole.

Counts are of distinct (item, event, order); ages are in days before the event clock. A step is a moment with events of
positive weight: a basket or a click. NONE stands for an item that the shopper never had, a gap of an item that was
taken once, and an age of a shopper without events.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from freshet.ranking.histories.history_block import HistoryBlock, ItemHistories

NONE = np.float32(-1.0)

_Values = NDArray[np.float64]

_OF_ITEMS: dict[str, Callable[[ItemHistories], _Values]] = {
    "own_age_days": lambda own: own.newest_days,
    "own_gap_days": lambda own: own.gap_days,
    "own_due": lambda own: own.newest_days / np.maximum(own.gap_days, 1e-3),
    "own_events": lambda own: own.events,
    "own_targets": lambda own: own.targets,
    "own_steps_ago": lambda own: own.steps_ago,
}
"""Of a shopper's own items: days since the newest event; mean days between events; their ratio, which is 1 when the
usual time has passed; events; target events; steps since the newest one."""

_OF_SHOPPERS: dict[str, Callable[[ItemHistories, HistoryBlock], _Values]] = {
    "shopper_events": lambda own, block: _sums(own.events, own, block),
    "shopper_items": lambda own, block: _sums(np.ones(len(own.row)), own, block),
    "shopper_repeats": lambda own, block: _sums(own.targets > 1, own, block),
    "shopper_idle_days": lambda own, block: _least(own.newest_days, own, block),
    "shopper_days": lambda own, block: -_least(-own.oldest_days, own, block),
}
"""Of shoppers: events; distinct items; items with two target events or more; days since the newest and since the oldest
event."""

HISTORY_FEATURES = (*_OF_ITEMS, *_OF_SHOPPERS)


def history_features(
    block: HistoryBlock,
    columns: NDArray[np.int64],
    names: Sequence[str],
    *,
    target_code: int,
    event_weights: NDArray[np.float64],
) -> dict[str, NDArray[np.float32]]:
    """[shoppers, candidates] by name, for the items `columns` [shoppers, candidates]. `target_code` and
    `event_weights` as in the recipe: the code of target events, and weights by code."""
    if not names:
        return {}
    own = block.item_histories(target_code, event_weights > 0)
    place = block.pair_places(columns)
    is_own = place >= 0
    found = {}
    for name in names:
        values = np.full(columns.shape, NONE)
        if name in _OF_ITEMS:
            values[is_own] = _OF_ITEMS[name](own)[place[is_own]]
        else:
            values[:] = _OF_SHOPPERS[name](own, block).astype(np.float32)[:, None]
        found[name] = np.where(np.isfinite(values), values, NONE)
    return found


def _sums(values: NDArray[np.generic], own: ItemHistories, block: HistoryBlock) -> _Values:
    return np.bincount(own.row, weights=values, minlength=block.shoppers).astype(np.float64)


def _least(values: _Values, own: ItemHistories, block: HistoryBlock) -> _Values:
    found = np.full(block.shoppers, np.inf)
    np.minimum.at(found, own.row, values)
    return found
