"""Plain methods as recipes: own items first, neighbours of own items, popularity. They need no search.

Each is an order of groups: what the first term of a method says decides, the next ones order what it leaves equal.
All terms lie within 0 and 1, so the weights below bring that about on every source and are no settings.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from freshet.contracts.policies import NEXT_BASKETS, POLICIES
from freshet.models.items.item_model import no_decay_at_zero
from freshet.models.items.neighbours import Neighbours
from freshet.ranking.recipe import Recipe
from freshet.ranking.terms.item_vectors import POPULARITY_WINDOWS_DAYS
from freshet.ranking.terms.own_items import HalfLife, NoConfiguration
from freshet.ranking.terms.registry import OWN_FREQUENCY, OWN_SEEN, POPULARITY_RANK

Weights = dict[str, float]

FILL_DAYS = 30
"""Popularity of so many days fills what a method leaves open, as for shoppers of whom nothing is known."""

_OWN = 2.0
"""Of every item that a shopper had: more than all others together can have."""

_BEHIND = 1e-5
"""Of popularity where it only fills: below what an order of yesterday and one of today differ by."""


def plain_weights(policy: str, *, half_lives_days: Sequence[float], windows_days: Iterable[int]) -> dict[str, Weights]:
    """Weights of one policy by method, in the order in which equally good ones are preferred.

    next_baskets: own items by frequency, for every half-life; both policies: neighbours of own items (of what
    next_baskets asks for, with the own items among them), and popularity of all time and of each window. Windows that
    item features do not count are left out.
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
    windows = [None, *(days for days in windows_days if days in POPULARITY_WINDOWS_DAYS)]
    return methods | {
        f"popularity{rank(days).removeprefix(POPULARITY_RANK.name)}": {rank(days): 1.0} for days in windows
    }


def own_terms(half_lives_days: Iterable[float]) -> dict[str, Any]:
    """The terms of own items that plain methods weigh, as a recipe's `sparse_terms`."""
    frequencies = {OWN_FREQUENCY.member(days): HalfLife(no_decay_at_zero(days)) for days in half_lives_days}
    return {**frequencies, OWN_SEEN.name: NoConfiguration()}


def own_items_first(bare: Recipe, *, half_life_days: float) -> Recipe:
    """What is served where nothing can be judged: own items first; of new ones neighbours of them; then popularity."""
    weights = {
        policy: next(iter(plain_weights(policy, half_lives_days=[half_life_days], windows_days=()).values()))
        for policy in POLICIES
    }
    return replace(bare, sparse_terms=own_terms([half_life_days]), weights=weights)
