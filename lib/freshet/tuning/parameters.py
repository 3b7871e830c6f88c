"""What the search may try, and how long."""

import itertools
from dataclasses import dataclass

from freshet.models.factors.parameters import AlsParameters
from freshet.models.items.linear_items import LinearItemParameters
from freshet.models.items.neighbours import NeighbourParameters
from freshet.models.items.next_items import NextItemParameters
from freshet.tuning.study import Effort


@dataclass(frozen=True)
class SearchParameters:
    """What a search may try. Half-lives in days, 0 stands for no decay.

    Factor models: `trials` of them at most, out of all combinations of `ranks`, `max_iters`, `reg_params`, `alphas`,
    `item_half_lives_days` and `min_strengths`, beginning with the first of each; `trials_at_once` run side by side;
    `patience` trials that gain less than `min_gain` end it. Each is folded in by every one of `user_half_lives_days`.
    `unsearched_weights` are served where fewer than `min_validation_users` shoppers can be judged.
    """

    trials: int
    trials_at_once: int
    patience: int
    ranks: tuple[int, ...]
    max_iters: tuple[int, ...]
    reg_params: tuple[float, ...]
    reg_power: float
    alphas: tuple[float, ...]
    seed: int
    item_half_lives_days: tuple[float, ...]
    min_strengths: tuple[float, ...]
    user_half_lives_days: tuple[float, ...]
    own_half_lives_days: tuple[float, ...]
    candidates_per_term: int
    rounds: int
    min_gain: float
    max_validation_users: int
    min_validation_users: int
    unsearched_weights: dict[str, float]

    def __post_init__(self) -> None:
        grids = (*self.space.values(), self.user_half_lives_days, self.own_half_lives_days)
        if not all(grids):
            raise ValueError("every grid needs at least one value")
        if any(len(set(values)) < len(values) for values in grids):
            raise ValueError("the values of a grid must differ")
        if min(*self.max_iters, *self.ranks, self.candidates_per_term, self.rounds, self.min_validation_users) < 1:
            raise ValueError("ranks, max_iters, candidates_per_term, rounds, min_validation_users must be 1 or more")
        if min(*self.item_half_lives_days, *self.user_half_lives_days, *self.own_half_lives_days) < 0:
            raise ValueError("half-lives must be 0 or more")
        for reg, alpha in itertools.product(self.reg_params, self.alphas):
            AlsParameters(self.ranks[0], self.max_iters[0], reg, alpha, self.seed, self.reg_power)
        _ = self.effort

    @property
    def space(self) -> dict[str, tuple[float, ...]]:
        """The values of a factor model's settings, by name."""
        return {
            "rank": self.ranks,
            "max_iter": self.max_iters,
            "reg_param": self.reg_params,
            "alpha": self.alphas,
            "item_half_life_days": self.item_half_lives_days,
            "min_strength": self.min_strengths,
        }

    @property
    def effort(self) -> Effort:
        """How long factor models are tried."""
        return Effort(self.trials, self.trials_at_once, self.patience, self.min_gain, self.seed)


@dataclass(frozen=True)
class ItemModelParameters:
    """The models that say how much items speak for items: what is tried of each, and how large they may be.

    Half-lives in days, 0 stands for no decay. Of each model the value that alone ranks best on validation goes into the
    blend; a model without values is left out, but neighbours are always made, for table similar_items.
    The linear and the next-item model know the `most_items` items of most shoppers, `count` weights of each, and solve
    `dense_items` of them exactly (numeric/damped_gram.py); `memory_gb` is what one of them may take.
    """

    neighbour_counts: tuple[int, ...]
    neighbour_half_life_days: float
    neighbour_asymmetry: float
    neighbour_shrinkage: float
    linear_reg_params: tuple[float, ...]
    linear_half_life_days: float
    next_reg_params: tuple[float, ...]
    next_decay: float
    next_steps: int
    next_co_occurrence: float
    count: int
    dense_items: int
    most_items: int
    memory_gb: float

    def __post_init__(self) -> None:
        if not self.neighbour_counts:
            raise ValueError("neighbour_counts needs at least one value")
        # Each refuses what it cannot be made of; now, and not in the middle of a run.
        for count in self.neighbour_counts:
            NeighbourParameters(count, self.neighbour_asymmetry, self.neighbour_shrinkage)
        for reg in self.linear_reg_params:
            self.linear_items(reg)
        for reg in self.next_reg_params:
            self.next_items(reg)
        if min(self.linear_half_life_days, self.neighbour_half_life_days) < 0:
            raise ValueError("half-lives must be 0 or more")
        if self.most_items < 1 or self.memory_gb <= 0:
            raise ValueError("most_items must be 1 or more, memory_gb above 0")

    def linear_items(self, reg_param: float) -> LinearItemParameters:
        """The linear item model with one of the regularisations."""
        return LinearItemParameters(reg_param, self.count, self.dense_items)

    def next_items(self, reg_param: float) -> NextItemParameters:
        """The next-item model with one of the regularisations."""
        return NextItemParameters(
            self.next_decay, self.next_steps, reg_param, self.next_co_occurrence, self.count, self.dense_items
        )
