"""The search for a recipe: half-lives, rank, neighbours and weights, all judged on the validation window.

Everything is fitted on what was known before the validation cut. Factor models are tried one after the other, since
each uses all cores; the weights of both policies are searched side by side in two tasks.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

import pyarrow as pa
from pyspark.sql import DataFrame

from freshet.errors import DataTooSmallError
from freshet.models.als import AlsParameters, fit_als
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
    """The chosen recipe, its validation NDCG by policy, all trials in words and figures, and the judged shoppers."""

    recipe: Recipe
    ndcg: dict[str, float]
    trials: list[dict[str, object]]
    users: dict[str, int]


def own_half_lives(params: SearchParameters) -> dict[str, float | None]:
    """The own_ terms that a search may weigh: decayed frequencies, and whether the shopper had the item at all."""
    named = {f"own_frequency_{days:g}d": no_decay_at_zero(days) for days in params.own_half_lives_days}
    return {**named, OWN_SEEN: None}


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
    told: Callable[[str], None],
) -> SearchResult:
    """The best recipe for the cases (user_id, history, truth). `told` hears of progress.

    Raises DataTooSmallError when the factor model has nothing to learn from.
    """
    search = _Search(cases, strengths, features, clock, k, params, told)
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
    with_factors, factors = search.factors(bare)
    return search.blend(with_factors, factors)


@dataclass
class _Search:
    cases: DataFrame
    strengths: Strengths
    features: pa.Table
    clock: datetime
    k: int
    params: SearchParameters
    told: Callable[[str], None]

    def __post_init__(self) -> None:
        self.trials: list[dict[str, object]] = []

    def factors(self, bare: Recipe) -> tuple[Recipe, pa.Table]:
        """The best factor recipe and its item vectors: half-life, then lowest strength, then rank."""
        first_rank, *other_ranks = self.params.ranks
        first_floor, *other_floors = self.params.min_strengths
        best = max(
            (self._factor_trial(bare, first_rank, days, first_floor) for days in self.params.item_half_lives_days),
            key=_value,
        )
        for floor in other_floors:
            days = best[1].item_half_life_days or 0.0
            best = max(best, self._factor_trial(bare, first_rank, days, floor), key=_value)
        for rank in other_ranks:
            days, floor = best[1].item_half_life_days or 0.0, best[1].item_min_strength
            best = max(best, self._factor_trial(bare, rank, days, floor), key=_value)
        return best[1], best[2]

    def _factor_trial(self, bare: Recipe, rank: int, days: float, floor: float) -> tuple[float, Recipe, pa.Table]:
        params = self.params
        als = AlsParameters(rank, params.max_iter, params.reg_param, params.alpha, params.seed)
        recipe = replace(bare, als=als, item_half_life_days=no_decay_at_zero(days), item_min_strength=floor)
        fitted = fit_als(self.strengths(recipe.item_half_life_days, floor), als)
        vectors = fitted.item_factors.select("item_id", "factors").toArrow()
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
            {"kind": "factors", "rank": rank, "item_half_life_days": days, "item_min_strength": floor,
             "user_half_life_days": options[best][0] or 0.0, "ndcg": ndcg}
        )  # fmt: skip
        shown = ", ".join(f"{policy} {value:.4f}" for policy, value in ndcg.items())
        self.told(f"rank {rank}, half-life {days:g} d, from strength {floor:g}: NDCG@{self.k} {shown}")
        return values[best], recipe, vectors

    def blend(self, recipe: Recipe, factors: pa.Table) -> SearchResult:
        """Weights of both policies for each number of neighbours; the best number in sum is kept."""
        best: tuple[float, SearchResult] | None = None
        for count in self.params.neighbour_counts:
            trial = replace(recipe, neighbours=count)
            near = item_neighbours(
                self.strengths(trial.neighbour_half_life_days, 0.0), neighbour_parameters(count, self.params)
            ).toArrow()
            found = blend_trials(
                self.cases, self._artifact(trial, factors, near), clock=self.clock, k=self.k, params=self.params
            )
            result = self._result(trial, found)
            total = sum(result.ndcg.values())
            if best is None or total > best[0] + self.params.min_gain:
                best = (total, result)
        assert best is not None  # the grid of neighbour counts is never empty
        return best[1]

    def _result(self, recipe: Recipe, found: dict[str, tuple[int, list[Trial]]]) -> SearchResult:
        weights, ndcg, users = {}, {}, {}
        for policy, (count, trials) in found.items():
            if not trials:
                continue
            weights[policy], ndcg[policy], users[policy] = trials[-1].weights, trials[-1].ndcg, count
            self.trials += [{"kind": policy, "weights": t.weights, "ndcg": {policy: t.ndcg}} for t in trials]
            self.told(f"{policy}: NDCG@{self.k} {ndcg[policy]:.4f} with {len(weights[policy])} terms")
        for policy in ("next_baskets", "new_items"):
            # A task that nobody could be judged on borrows the other's weights.
            weights.setdefault(policy, next(iter(weights.values()), {}))
        used = {name for chosen in weights.values() for name in chosen}
        own = {name: days for name, days in recipe.own_half_lives.items() if name in used}
        return SearchResult(replace(recipe, weights=weights, own_half_lives=own), ndcg, self.trials, users)

    def _artifact(self, recipe: Recipe, factors: pa.Table, neighbours: pa.Table | None) -> Artifact:
        return assembled(recipe, features=self.features, factors=factors, neighbours=neighbours, as_of=self.clock)


def neighbour_parameters(count: int, params: SearchParameters) -> NeighbourParameters:
    """Neighbour parameters of the settings with a count of the grid."""
    return NeighbourParameters(count, params.neighbour_asymmetry, params.neighbour_shrinkage)


def _value(trial: tuple[float, Recipe, pa.Table]) -> float:
    return trial[0]
