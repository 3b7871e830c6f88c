"""The search for a recipe: factor model, item models and weights, all evaluated on the validation window.

All models are fitted on data that was known before the validation cut. Factor models are proposed by a search library
(study.py) and tried in parallel, each in its own task; the weights of both policies are searched in two tasks.
"""

import threading
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
from pyspark.sql import DataFrame

from freshet.contracts.policies import POLICIES
from freshet.core.errors import DataTooSmallError
from freshet.core.threads import side_by_side
from freshet.models.factors.als import Factoriser
from freshet.models.factors.parameters import AlsParameters
from freshet.models.items.item_model import TrainingData, no_decay_at_zero
from freshet.models.items.registry import ITEM_MODELS
from freshet.ranking.artifact import Artifact
from freshet.ranking.assembly import assembled
from freshet.ranking.extensions import loaded_extensions
from freshet.ranking.ranker.ranker import Ranker
from freshet.ranking.recipe import Recipe
from freshet.ranking.terms.registry import FACTORS, sparse_options
from freshet.tuning.item_models import item_model_or_none
from freshet.tuning.parameters import ItemModelParameters, RankerParameters, SearchParameters
from freshet.tuning.rankers import searched_rankers
from freshet.tuning.study import Setting, best_of, studied
from freshet.tuning.trials import blend_trials, fold_in_trials, item_model_trials


@dataclass(frozen=True)
class SearchResult:
    """The chosen artifact with its recipe, as of the validation cut, its NDCG there by policy, all trials, and the
    evaluated shoppers."""

    artifact: Artifact
    ndcg: dict[str, float]
    trials: list[dict[str, object]]
    users: dict[str, int]


def searched_half_lives(params: SearchParameters, items: ItemModelParameters) -> set[float | None]:
    """The half-lives of all strengths that a search needs."""
    return {no_decay_at_zero(days) for days in params.item_half_lives_days} | items.half_lives()


class SearchSettings(NamedTuple):
    """What a search tries: sections search, item_models and ranker of the settings."""

    search: SearchParameters
    item_models: ItemModelParameters
    ranker: RankerParameters


@dataclass(frozen=True)
class Judging:
    """Cases (user_id, history, truth), and the list length at which they are evaluated."""

    cases: DataFrame
    k: int


def searched(
    judging: Judging,
    data: TrainingData,
    *,
    target: str,
    event_weights: dict[str, float],
    settings: SearchSettings,
    factoriser: Factoriser,
    record: Path,
) -> SearchResult:
    """The best recipe for the cases. The factoriser's `notify` receives progress; `record` is that of study.py.

    Raises DataTooSmallError when the factor model has nothing to learn from.
    """
    bare = Recipe(
        target=target,
        event_weights=event_weights,
        als=None,
        item_half_life_days=None,
        item_min_strength=0.0,
        user_half_life_days=None,
        user_min_strength=0.0,
        item_models={},
        sparse_terms=sparse_options(settings.search),
        weights={},
        extensions=loaded_extensions(),
    )
    search = _Search(judging, data, bare, *settings, factoriser, record)
    return search.blend(search.factors())


class _FactorTrial(NamedTuple):
    """NDCG summed over policies, the recipe, and its item vectors."""

    ndcg: float
    recipe: Recipe
    vectors: pa.Table


@dataclass
class _Search:
    judging: Judging
    data: TrainingData
    bare: Recipe
    params: SearchParameters
    item_models: ItemModelParameters
    ranker: RankerParameters
    factoriser: Factoriser
    record: Path
    trials: list[dict[str, object]] = field(default_factory=list)

    def factors(self) -> _FactorTrial:
        """The best factor model of the study."""
        best: _FactorTrial | None = None
        comparing = threading.Lock()

        def judge(setting: Setting) -> float | None:
            nonlocal best
            trial = self._factor_trial(setting)
            # Only the best so far keeps its vectors, as each trial has vectors for the whole catalogue.
            with comparing:
                if trial is not None and (best is None or trial.ndcg > best.ndcg):
                    best = trial
            return None if trial is None else trial.ndcg

        spark = self.judging.cases.sparkSession
        found = studied(self.params.space, judge, effort=self.params.effort, record=self.record, spark=spark)
        self.trials += [{"kind": FACTORS.name, **setting, "ndcg": {"sum": value}} for setting, value in found]
        chosen = best_of(found)
        if chosen is None:
            raise DataTooSmallError("no interaction is strong enough to learn tastes from")
        if best is None or best.recipe != self._with_factors(chosen.setting, best.recipe.user_half_life_days):
            # The study names the earliest of equal trials; and after a restart the fitted vectors are lost.
            best = self._factor_trial(chosen.setting)
        assert best is not None  # it could be judged before
        return best

    def _with_factors(self, setting: Setting, user_half_life_days: float | None) -> Recipe:
        """The bare recipe with a factor model. The floor is a share of the weight of a fresh target event."""
        params, bare = self.params, self.bare
        return replace(
            bare,
            als=AlsParameters(
                int(setting["rank"]), int(setting["max_iter"]), setting["reg_param"], setting["alpha"], params.seed,
                params.reg_power,
            ),
            item_half_life_days=no_decay_at_zero(setting["item_half_life_days"]),
            item_min_strength=setting["min_strength"] * (bare.event_weights.get(bare.target) or 1.0),
            user_half_life_days=user_half_life_days,
        )  # fmt: skip

    def _factor_trial(self, setting: Setting) -> _FactorTrial | None:
        """The setting with its best half-life for folding in; None if no strength is high enough to train."""
        recipe = self._with_factors(setting, None)
        assert recipe.als is not None
        chosen = self.data.strengths(recipe.item_half_life_days, recipe.item_min_strength)
        try:
            fitted = self.factoriser.fit(chosen, recipe.als, with_users=False)
        except DataTooSmallError:
            return None
        vectors = fitted.items
        fitted.forget()
        options = [no_decay_at_zero(days) for days in self.params.user_half_lives_days]
        found = fold_in_trials(
            self.judging.cases, self._artifact(recipe, vectors, {}), half_lives_days=options, k=self.judging.k,
            clock=self.data.as_of, params=self.params,
        )  # fmt: skip
        if not found:
            raise DataTooSmallError("no shopper of the validation window can be evaluated")
        values = [sum(trials[n].ndcg for _, trials in found.values()) for n in range(len(options))]
        best = max(range(len(options)), key=lambda n: values[n])
        shown = ", ".join(f"{policy} {trials[best].ndcg:.4f}" for policy, (_, trials) in found.items())
        settings = ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in setting.items())
        self.factoriser.notify(f"factors with {settings}: NDCG@{self.judging.k} {shown}")
        return _FactorTrial(values[best], replace(recipe, user_half_life_days=options[best]), vectors)

    def blend(self, best: _FactorTrial) -> SearchResult:
        """The weights of both policies over all terms, with the item models that alone rank best."""
        chosen, tables = self._item_models()
        artifact = self._artifact(replace(best.recipe, item_models=chosen), best.vectors, tables)
        found = blend_trials(self.judging.cases, artifact, clock=self.data.as_of, k=self.judging.k, params=self.params)
        weights, ndcg, users = {}, {}, {}
        for policy, (count, trials) in found.items():
            if not trials:
                continue
            weights[policy], ndcg[policy], users[policy] = trials[-1].weights, trials[-1].ndcg, count
            self.trials += [{"kind": policy, "weights": t.weights, "ndcg": {policy: t.ndcg}} for t in trials]
            self.factoriser.notify(
                f"{policy}: NDCG@{self.judging.k} {ndcg[policy]:.4f} with {len(weights[policy])} terms"
            )
        for policy in POLICIES:
            # A task without any shopper to evaluate uses the weights of the other task.
            weights.setdefault(policy, next(iter(weights.values()), {}))
        blend = replace(artifact, recipe=replace(artifact.recipe, weights=weights))
        recipe = replace(blend.recipe, rankers=self._rankers(blend, ndcg)).without_unused()
        used = recipe.used_terms
        kept = {model: matrix for model, matrix in artifact.item_weights.items() if model in used}
        return SearchResult(replace(artifact, recipe=recipe, item_weights=kept), ndcg, self.trials, users)

    def _rankers(self, blend: Artifact, ndcg: dict[str, float]) -> dict[str, Ranker]:
        """The rankers that gain on the blend by cross-validation, by policy; their gains are added to `ndcg`."""
        found = searched_rankers(
            self.judging.cases, blend, clock=self.data.as_of, k=self.judging.k, params=self.ranker
        )  # fmt: skip
        chosen = {}
        for policy, (trials, best, ranker, problem) in found.items():
            if policy not in ndcg:
                continue
            self.trials += [
                {"kind": "ranker", "policy": policy, "trees": trial.trees, "standard_error": trial.error,
                 "ndcg": {policy: ndcg[policy] + trial.gain}}
                for trial in trials
            ]  # fmt: skip
            if problem:
                self.factoriser.notify(f"{policy}: no ranker, as LightGBM cannot be loaded: {problem}")
            if best is not None and ranker is not None:
                chosen[policy] = ranker
                ndcg[policy] += best.gain
                self.factoriser.notify(f"{policy}: {best.trees} trees gain {best.gain:.4f} NDCG@{self.judging.k}")
        return chosen

    def _item_models(self) -> tuple[dict[str, Any], dict[str, pa.Table]]:
        """The configuration of each item model that alone ranks best, and its weights; models that do not fit are left
        out."""
        options = self.item_models.options()
        pairs = [(model, option) for model, of_model in options.items() for option in of_model]
        rivals = {model for model, of_model in options.items() if len(of_model) > 1}
        made = side_by_side(
            lambda pair: self._item_model(*pair, judged=pair[0] in rivals), pairs,
            spark=self.judging.cases.sparkSession, at_once=self.params.trials_at_once,
        )  # fmt: skip
        chosen: dict[str, Any] = {}
        tables: dict[str, pa.Table] = {}
        values: dict[str, float] = {}
        for (model, option), (table, ndcg) in zip(pairs, made, strict=True):
            if table is None:
                continue
            if ndcg:
                self.trials.append({"kind": model, **ITEM_MODELS[model].describe(option), "ndcg": ndcg})
            if sum(ndcg.values()) > values.get(model, -1.0):
                chosen[model], tables[model], values[model] = option, table, sum(ndcg.values())
        return chosen, tables

    def _item_model(self, model: str, option: Any, *, judged: bool) -> tuple[pa.Table | None, dict[str, float]]:
        """The weights of the model, and if `judged` also its NDCG alone by policy."""
        table = item_model_or_none(model, option, self.data, params=self.item_models, by=self.factoriser)
        if table is None or not judged:
            return table, {}
        recipe = replace(self.bare, item_models={model: option})
        found = item_model_trials(
            self.judging.cases, self._artifact(recipe, None, {model: table}), model, clock=self.data.as_of,
            k=self.judging.k, params=self.params,
        )  # fmt: skip
        return table, {policy: trials[0].ndcg for policy, (_, trials) in found.items()}

    def _artifact(self, recipe: Recipe, factors: pa.Table | None, tables: dict[str, pa.Table]) -> Artifact:
        data = self.data
        return assembled(recipe, features=data.features, factors=factors, item_weights=tables, as_of=data.as_of)
