"""Fits item models and factors on interactions, and puts them with all other terms into a blend."""

import os
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from freshet.contracts.events import PURCHASE
from freshet.contracts.policies import POLICIES
from freshet.core.errors import InputError
from freshet.lab import defaults
from freshet.lab.blend import Blend
from freshet.lab.columns import raised
from freshet.lab.interactions import Interactions
from freshet.lab.protocols import users_as_cases
from freshet.lab.splits import Split, event_weights_of
from freshet.lab.training import fitted_table, training_data
from freshet.models.factors.als import Factoriser
from freshet.models.factors.parameters import AlsParameters
from freshet.models.items.item_model import DataInProcess, FitLimits
from freshet.models.items.registry import ITEM_MODELS
from freshet.ranking.assembly import assembled
from freshet.ranking.recipe import Recipe
from freshet.ranking.terms.registry import FACTORS, sparse_options

Models = Iterable[str] | Mapping[str, Any]


def fit(
    data: Interactions | Split,
    models: Models = (),
    *,
    factors: bool | AlsParameters | Mapping[str, Any] = False,
    event_weights: Mapping[str, float] | None = None,
    target: str | None = None,
    limits: FitLimits | None = None,
) -> Blend:
    """A blend of item models, factors and all terms that need no fit.

    `data`: interactions, or a split, of which the training part is read as of the split's clock. `models`: names of
    ITEM_MODELS, or a mapping from names to a configuration, to some of its values, or to None; what is left out is as
    in conf/base.toml. `factors`: True, AlsParameters, or a mapping of some of its values, item_half_life_days and
    user_half_life_days. Where the data have a column event: `event_weights` by name (default: those of conf/base.toml),
    and `target`, the event to predict (default: the most frequent one with a weight above 0).

    Each model and the factors get weight 1, all other terms 0; `Blend.with_weights` and `Blend.searched` change that.
    Without models and factors, popularity orders the lists of all. Runs in this process, on all its cores; only a model
    of one's own without `fit_in_process` that reads frames starts a Spark session.

    Raises SettingsError for invalid configurations, StateError for unknown names, SetupError when a fit needs more
    memory than `limits` allow, InputError for events without weights.
    """
    train, as_of = (data.train, data.clock) if isinstance(data, Split) else (data, data.as_of)
    chosen = dict(models) if isinstance(models, Mapping) else dict.fromkeys(_names(models))
    configurations = {name: defaults.configuration(name, given) for name, given in chosen.items()}
    bare = _bare_recipe(train, configurations, factors, event_weights, target)
    everybody = users_as_cases(train, train.users, as_of)
    known = training_data(train, everybody, bare, as_of)
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    allowed = limits or FitLimits(*defaults.item_model_limits(), threads)
    tables = {name: fitted_table(ITEM_MODELS[name], made, known, allowed) for name, made in configurations.items()}
    vectors = _factors(known, bare, allowed.threads)
    weights = dict.fromkeys([*([FACTORS.name] if bare.als else []), *configurations], 1.0)
    recipe = Recipe(**{**vars(bare), "weights": {policy: dict(weights) for policy in POLICIES}})
    artifact = assembled(recipe, features=known.features, factors=vectors, item_weights=tables, as_of=as_of)
    return Blend(artifact, train, as_of)


def _names(models: Iterable[str]) -> list[str]:
    if isinstance(models, str):
        raise InputError("models are given by a list of names", where="fit", expected=f'["{models}"]', found=models)
    return list(models)


def _bare_recipe(
    train: Interactions, configurations: dict[str, Any], factors: bool | AlsParameters | Mapping[str, Any],
    event_weights: Mapping[str, float] | None, target: str | None,
) -> Recipe:  # fmt: skip
    """The recipe without weights of terms."""
    weights, predicted = _events(train, event_weights, target)
    # An empty mapping asks for factors too, as they are by default.
    asked = factors is not False
    of_factors = defaults.factor_settings(factors) if asked else None
    return Recipe(
        target=predicted,
        event_weights=weights,
        als=of_factors.als if of_factors else None,
        item_half_life_days=of_factors.item_half_life_days if of_factors else None,
        item_min_strength=0.0,
        user_half_life_days=of_factors.user_half_life_days if of_factors else None,
        user_min_strength=0.0,
        item_models=configurations,
        sparse_terms=sparse_options(defaults.search()),
        weights={policy: {} for policy in POLICIES},
    )


def _events(train: Interactions, given: Mapping[str, float] | None, target: str | None) -> tuple[dict[str, float], str]:
    """The weights of the events of the data, and the event to predict."""
    if not train.has("event"):
        if given is not None or target is not None:
            raised(["event_weights and target are for data with a column event"], "fit")
        return event_weights_of(train), PURCHASE
    counts = {row["values"]: row["counts"] for row in train.event_names.value_counts().to_pylist()}
    known = defaults.interaction_weights() if given is None else given
    problems = [f"event {name} has no weight" for name in sorted(counts) if name not in known]
    if target is not None and target not in counts:
        problems.append(f"the target {target} does not occur (there are: {', '.join(sorted(counts))})")
    raised(problems, "fit: event_weights")
    weights = {name: float(known[name]) for name in sorted(counts)}
    positive = [name for name in weights if weights[name] > 0]
    if not positive:
        raised(["no event of the data has a weight above 0"], "fit: event_weights")
    return weights, target or max(positive, key=lambda name: counts[name])


def _factors(data: DataInProcess, recipe: Recipe, threads: int) -> pa.Table | None:
    if recipe.als is None:
        return None
    by = Factoriser(defaults.factorisation(), threads, lambda message: None)
    return by.fit_in_process(data.strengths(recipe.item_half_life_days, recipe.item_min_strength), recipe.als)
