"""Plain methods as recipes: own items, their neighbours, similar shoppers, popularity. They need no search.

Each method orders items by its first term; the next terms order items that are equal in it. All terms are between 0
and 1, so the weights below achieve this on every source and are not settings.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from freshet.contracts.features import POPULARITY_WINDOWS_DAYS
from freshet.contracts.policies import NEXT_BASKETS, POLICIES
from freshet.models.items.item_model import no_decay_at_zero
from freshet.models.items.neighbours import Neighbours
from freshet.models.items.user_neighbours import UserNeighbours
from freshet.ranking.recipe import Recipe
from freshet.ranking.terms.own_items import HalfLife, NoConfiguration
from freshet.ranking.terms.registry import OWN_FREQUENCY, OWN_SEEN, POPULARITY_RANK

Weights = dict[str, float]

FILL_DAYS = 30
"""Popularity of this many days fills the rest of a list, as for shoppers without a known item."""

_OWN = 2.0
"""Weight of every item that a shopper had: more than the sum of all other terms."""

_BEHIND = 1e-5
"""Weight of popularity where it only fills: smaller than the difference between an order of yesterday and of today."""


def plain_weights(
    policy: str, *, half_lives_days: Sequence[float], windows_days: Iterable[int], similar_shoppers: bool = False
) -> dict[str, Weights]:
    """Weights of one policy by method, in the order in which equally good ones are preferred.

    next_baskets: own items by frequency, for every half-life. Both policies: neighbours of own items (under
    next_baskets together with the own items), with `similar_shoppers` what they took, and popularity of all time and of
    each window. Windows that are not in the item features are left out.
    """
    rank, frequency = POPULARITY_RANK.member, OWN_FREQUENCY.member
    fill = {rank(FILL_DAYS): _BEHIND}
    methods: dict[str, Weights] = {}
    near: Weights = {Neighbours.name: 1.0}
    if policy == NEXT_BASKETS:
        for days in half_lives_days:
            methods[frequency(days)] = {OWN_SEEN.name: _OWN, frequency(days): 1.0, **fill}
        near[frequency(half_lives_days[0])] = 1.0
    methods["item_neighbours"] = {**near, **fill}
    if similar_shoppers:
        methods["similar_shoppers"] = {UserNeighbours.name: 1.0, **fill}
    windows = [None, *(days for days in windows_days if days in POPULARITY_WINDOWS_DAYS)]
    return methods | {
        f"popularity{rank(days).removeprefix(POPULARITY_RANK.name)}": {rank(days): 1.0} for days in windows
    }


def own_terms(half_lives_days: Iterable[float]) -> dict[str, Any]:
    """The terms of own items that plain methods use, as a recipe's `sparse_terms`."""
    frequencies = {OWN_FREQUENCY.member(days): HalfLife(no_decay_at_zero(days)) for days in half_lives_days}
    return {**frequencies, OWN_SEEN.name: NoConfiguration()}


def own_items_first(bare: Recipe, *, half_life_days: float) -> Recipe:
    """The recipe that is served without validation data: own items first (for new items their neighbours), then
    popularity."""
    weights = {
        policy: next(iter(plain_weights(policy, half_lives_days=[half_life_days], windows_days=()).values()))
        for policy in POLICIES
    }
    return replace(bare, sparse_terms=own_terms([half_life_days]), weights=weights)
