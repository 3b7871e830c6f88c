"""What the search may try, and how long."""

import itertools
from dataclasses import dataclass
from typing import Any

from freshet.models.factors.parameters import AlsParameters
from freshet.models.items.item_model import FitLimits
from freshet.models.items.registry import ITEM_MODELS
from freshet.tuning.study import Effort


@dataclass(frozen=True)
class SearchParameters:
    """What a search may try. Half-lives in days, 0 stands for no decay.

    Factor models: `trials` of them at most, out of all combinations of `ranks`, `max_iters`, `reg_params`, `alphas`,
    `item_half_lives_days` and `min_strengths`, beginning with the first of each; `trials_at_once` run side by side;
    `patience` trials that gain less than `min_gain` end it. Each is folded in by every one of `user_half_lives_days`.
    With fewer than `min_validation_users` shoppers to judge by nothing is searched.
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

    Of each model the configuration that alone ranks best on validation goes into the blend. Models that need more than
    time linear in their data know the `most_items` items of most shoppers; `memory_gb` (10^9 bytes) is what the fit of
    one may take. `models`: by name of a registered model its settings, a section of their own each.
    """

    most_items: int
    memory_gb: float
    models: dict[str, Any]

    def __post_init__(self) -> None:
        if self.most_items < 1 or self.memory_gb <= 0:
            raise ValueError("most_items must be 1 or more, memory_gb above 0")

    @staticmethod
    def sections() -> dict[str, type]:
        """The class of each section of `models`, by its name."""
        return {model.name: model.settings for model in ITEM_MODELS}

    def limits(self, threads: int) -> FitLimits:
        """How large a fit on so many threads may become."""
        return FitLimits(self.most_items, self.memory_gb, threads)

    def options(self) -> dict[str, list[Any]]:
        """By model the configurations that are tried; models without any are missing."""
        every = {name: ITEM_MODELS[name].options(settings) for name, settings in self.models.items()}
        return {name: options for name, options in every.items() if options}

    def half_lives(self) -> set[float | None]:
        """The half-lives of all strengths that the options are fitted on."""
        return {
            days
            for name, options in self.options().items()
            for option in options
            for days in ITEM_MODELS[name].half_lives(option)
        }
