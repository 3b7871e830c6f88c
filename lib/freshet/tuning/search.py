"""The search for a recipe: half-lives, rank, neighbours and weights, all judged on the validation window.

Everything is fitted on what was known before the validation cut. Factor models are tried one after the other, since
each uses all cores; the weights of both policies are searched side by side in two tasks.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

import pyarrow as pa
from pyspark.sql import DataFrame

from freshet.errors import DataTooSmallError
from freshet.models.als import Factoriser
from freshet.models.als_parameters import AlsParameters
from freshet.models.neighbours import NeighbourParameters, item_neighbours
from freshet.recommendation.artifact import Artifact
from freshet.recommendation.assembly import assembled
from freshet.recommendation.recipe import OWN_SEEN, Recipe
from freshet.tuning.parameters import SearchParameters
from freshet.tuning.trials import blend_trials, fold_in_trials
from freshet.tuning.weights import Trial

Strengths = Callable[[float | None, float], DataFrame]
"""(half-life, lowest strength) to interactions (user_id, item_id, first_time, strength) as of the validation cut."""


@dataclass(frozen=True)
class SearchResult:
    """The chosen artifact with its recipe, as of the validation cut, its NDCG there by policy, all trials in words and
    figures, and the judged shoppers."""

    artifact: Artifact
    ndcg: dict[str, float]
    trials: list[dict[str, object]]
    users: dict[str, int]


def own_half_lives(params: SearchParameters) -> dict[str, float | None]:
    """The own_ terms that a search may weigh: decayed frequencies, and whether the shopper had the item at all."""
    named = {f"own_frequency_{days:g}d": no_decay_at_zero(days) for days in params.own_half_lives_days}
    return {**named, OWN_SEEN: None}


def searched_half_lives(params: SearchParameters) -> set[float | None]:
    """The half-lives of all strengths that a search asks for."""
    return {no_decay_at_zero(days) for days in (*params.item_half_lives_days, params.neighbour_half_life_days)}


def no_decay_at_zero(days: float) -> float | None:
    """A half-life of the settings, where 0 stands for no decay."""
    return days or None


def searched(  # noqa: PLR0913 - a recipe depends on all of them
    cases: DataFrame,
    *,
    strengths: Strengths,
    features: pa.Table,
    target: str,
    event_weights: dict[str, float],
    clock: datetime,
    k: int,
    params: SearchParameters,
    factoriser: Factoriser,
) -> SearchResult:
    """The best recipe for the cases (user_id, history, truth). Whom the factoriser tells hears of progress.

    Raises DataTooSmallError when the factor model has nothing to learn from.
    """
    search = _Search(cases, strengths, features, clock, k, params, factoriser)
    bare = Recipe(
        target=target,
        event_weights=event_weights,
        als=None,
        item_half_life_days=None,
        item_min_strength=0.0,
        user_half_life_days=None,
        user_min_strength=0.0,
        neighbours=0,
        neighbour_half_life_days=no_decay_at_zero(params.neighbour_half_life_days),
        own_half_lives=own_half_lives(params),
        weights={},
    )
    best = search.factors(bare)
    return search.blend(best.recipe, best.vectors)


class _FactorTrial(NamedTuple):
    """NDCG summed over policies, the recipe, its floor as in the settings, and its item vectors."""

    ndcg: float
    recipe: Recipe
    floor: float
    vectors: pa.Table


@dataclass
class _Search:
    cases: DataFrame
    strengths: Strengths
    features: pa.Table
    clock: datetime
    k: int
    params: SearchParameters
    factoriser: Factoriser

    def __post_init__(self) -> None:
        self.trials: list[dict[str, object]] = []

    def factors(self, bare: Recipe) -> _FactorTrial:
        """The best factor recipe: half-life, then lowest strength, then rank, then iterations."""
        params = self.params
        first_rank, *other_ranks = params.ranks
        first_count, *other_counts = params.max_iters
        start = AlsParameters(first_rank, first_count, params.reg_param, params.alpha, params.seed, params.reg_power)
        first_floor, *other_floors = params.min_strengths
        best = None
        for days in params.item_half_lives_days:
            best = _better(best, self._factor_trial(bare, start, no_decay_at_zero(days), first_floor))
        for floor in other_floors:
            days_found = best.recipe.item_half_life_days if best else self._longest_half_life()
            best = _better(best, self._factor_trial(bare, start, days_found, floor))
        if best is None:
            raise DataTooSmallError("no interaction is strong enough to learn tastes from")
        for rank in other_ranks:
            best = self._better_with(best, rank=rank)
        for count in other_counts:
            best = self._better_with(best, max_iter=count)
        return best

    def _better_with(self, best: _FactorTrial, **changes: int) -> _FactorTrial:
        """The best trial, or the one with these hyper-parameters changed."""
        assert best.recipe.als is not None
        als = replace(best.recipe.als, **changes)
        trial = self._factor_trial(best.recipe, als, best.recipe.item_half_life_days, best.floor)
        return _better(best, trial) or best

    def _longest_half_life(self) -> float | None:
        return max((no_decay_at_zero(days) for days in self.params.item_half_lives_days), key=lambda d: d or math.inf)

    def _factor_trial(self, bare: Recipe, als: AlsParameters, days: float | None, floor: float) -> _FactorTrial | None:
        """A trial, None where nothing is as strong as the floor: a share of what a fresh target event weighs."""
        params = self.params
        at_least = floor * (bare.event_weights.get(bare.target) or 1.0)
        recipe = replace(bare, als=als, item_half_life_days=days, item_min_strength=at_least)
        try:
            fitted = self.factoriser.fit(self.strengths(days, at_least), als, with_users=False)
        except DataTooSmallError:
            return None
        vectors = fitted.items
        fitted.forget()
        artifact = self._artifact(recipe, vectors, None)
        options = [(no_decay_at_zero(d), 0.0) for d in params.user_half_lives_days]
        found = fold_in_trials(self.cases, artifact, options=options, clock=self.clock, k=self.k, params=params)
        if not found:
            raise DataTooSmallError("no shopper of the validation window can be judged")
        values = [sum(trials[n].ndcg for _, trials in found.values()) for n in range(len(options))]
        best = max(range(len(options)), key=lambda n: values[n])
        recipe = replace(recipe, user_half_life_days=options[best][0])
        ndcg = {policy: trials[best].ndcg for policy, (_, trials) in found.items()}
        self.trials.append(
            {"kind": "factors", "rank": als.rank, "max_iter": als.max_iter, "item_half_life_days": days or 0.0,
             "item_min_strength": at_least, "user_half_life_days": options[best][0] or 0.0, "ndcg": ndcg}
        )  # fmt: skip
        shown = ", ".join(f"{policy} {value:.4f}" for policy, value in ndcg.items())
        decay = f"half-life {days:g} d" if days else "no decay"
        self.factoriser.told(
            f"rank {als.rank}, {als.max_iter} iterations, {decay}, from strength {at_least:g}: NDCG@{self.k} {shown}"
        )
        return _FactorTrial(values[best], recipe, floor, vectors)

    def blend(self, recipe: Recipe, factors: pa.Table) -> SearchResult:
        """Weights of both policies for each number of neighbours; the best number in sum is kept."""
        best: tuple[float, SearchResult] | None = None
        for count in self.params.neighbour_counts:
            trial = replace(recipe, neighbours=count)
            near = item_neighbours(
                self.strengths(trial.neighbour_half_life_days, 0.0), neighbour_parameters(count, self.params)
            ).toArrow()
            artifact = self._artifact(trial, factors, near)
            found = blend_trials(self.cases, artifact, clock=self.clock, k=self.k, params=self.params)
            result = self._result(artifact, found)
            total = sum(result.ndcg.values())
            if best is None or total > best[0] + self.params.min_gain:
                best = (total, result)
        assert best is not None  # the grid of neighbour counts is never empty
        return best[1]

    def _result(self, artifact: Artifact, found: dict[str, tuple[int, list[Trial]]]) -> SearchResult:
        weights, ndcg, users = {}, {}, {}
        for policy, (count, trials) in found.items():
            if not trials:
                continue
            weights[policy], ndcg[policy], users[policy] = trials[-1].weights, trials[-1].ndcg, count
            self.trials += [{"kind": policy, "weights": t.weights, "ndcg": {policy: t.ndcg}} for t in trials]
            self.factoriser.told(f"{policy}: NDCG@{self.k} {ndcg[policy]:.4f} with {len(weights[policy])} terms")
        for policy in ("next_baskets", "new_items"):
            # A task that nobody could be judged on borrows the other's weights.
            weights.setdefault(policy, next(iter(weights.values()), {}))
        used = {name for chosen in weights.values() for name in chosen}
        own = {name: days for name, days in artifact.recipe.own_half_lives.items() if name in used}
        recipe = replace(artifact.recipe, weights=weights, own_half_lives=own)
        return SearchResult(replace(artifact, recipe=recipe), ndcg, self.trials, users)

    def _artifact(self, recipe: Recipe, factors: pa.Table, neighbours: pa.Table | None) -> Artifact:
        return assembled(recipe, features=self.features, factors=factors, neighbours=neighbours, as_of=self.clock)


def neighbour_parameters(count: int, params: SearchParameters) -> NeighbourParameters:
    """Neighbour parameters of the settings with a count of the grid."""
    return NeighbourParameters(count, params.neighbour_asymmetry, params.neighbour_shrinkage)


def _better(best: _FactorTrial | None, trial: _FactorTrial | None) -> _FactorTrial | None:
    """The trial with the higher NDCG; the earlier one when they are equal."""
    if best is None or trial is None:
        return best or trial
    return trial if trial.ndcg > best.ndcg else best
