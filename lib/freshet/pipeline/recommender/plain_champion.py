"""The plain methods that serve as long as every challenger was refused: better than no list at all.

The methods are recipes of ranking/plain_methods.py, fitted as of the validation cut and judged on the same shoppers as
the challenger. The best one of each task is fitted as of the run's cut, registered as a model version and made
champion. Later challengers are compared with it as with any champion.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame

from freshet.contracts import EVENTS, ITEM_FEATURES
from freshet.contracts.policies import NEXT_BASKETS, POLICIES
from freshet.evaluation.gate import GateDecision
from freshet.evaluation.ranking import per_user
from freshet.evaluation.splitting import known_before
from freshet.models.items.item_model import TrainingData
from freshet.models.items.user_neighbours import UserNeighbours
from freshet.pipeline.recommender.list_judging import collected, served_lists
from freshet.pipeline.recommender.recommender_fits import (
    SignalsAt,
    bare_recipe,
    built_catalogue,
    catalogue,
    events_until,
    factoriser,
    fitted,
    recipe_params,
)
from freshet.ranking.artifact import Artifact
from freshet.ranking.plain_methods import own_terms, plain_weights
from freshet.ranking.recipe import Recipe
from freshet.registry.versions import ModelVersion
from freshet.report.charts.training import blend_svg
from freshet.runs.job import Job
from freshet.runs.registered_models import RECOMMENDER, SCORING, champion, registry, validation_folder
from freshet.runs.steps import BUILD

Methods = dict[str, dict[str, dict[str, float]]]
"""Weights by policy and by method."""

_TAG = "freshet.plain_method"


@dataclass(frozen=True)
class Judging:
    """Cases (user_id, history, truth) of the validation days by a protocol of evaluation/protocols.py, and their ground
    truth by task as in list_judging. `broken_by` finds the (task, model) of lists of these shoppers that do not keep a
    limit of [audits] on what lists show."""

    protocol: str
    cases: DataFrame
    truth: pa.Table
    broken_by: Callable[[pa.Table], set[tuple[str, str]]]


@dataclass(frozen=True)
class PlainChampion:
    """The version that serves, the decision with its reasons, and the recipe."""

    version: ModelVersion
    decision: GateDecision
    recipe: dict[str, Any]


@dataclass(frozen=True)
class Choice:
    """The best method of a task: the mean of the gate's metric over `users` shoppers; None if no shopper was judged.
    `breaks_limit`: its lists do not keep a limit of [audits]."""

    method: str
    value: float | None
    users: int
    breaks_limit: bool = False


def is_needed(job: Job, refused: ModelVersion) -> bool:
    """Whether no version serves, or only plain methods in place of the same challenger, as after a kill."""
    serving = champion(job, RECOMMENDER)
    return serving is None or serving.fingerprint.startswith(_fingerprint(refused, ""))


def plain_champion(job: Job, refused: ModelVersion, judging: Judging, *, decided_by: str) -> PlainChampion:
    """Registers the best plain method of each task. The caller writes the decision and promotes the version.

    `decided_by` is the fingerprint of the gate's step, by which a repeated step finds the version that it has made.
    """
    fingerprint = _fingerprint(refused, decided_by)
    methods = plain_methods(job)
    shared = _recipe(job, methods)
    chosen = _judged(job, refused, shared, methods, judging)
    weights = {policy: methods[policy][choice.method] for policy, choice in chosen.items()}
    recipe = replace(shared, weights=weights).without_unused()
    decision = _decision(job, refused, chosen)
    version = registry(job).find(RECOMMENDER, fingerprint)
    if version is None:
        version = _registered(job, fingerprint, recipe, chosen, decision)
    return PlainChampion(version, decision, recipe.to_values())


def plain_methods(job: Job) -> Methods:
    """The methods named in the settings of the evaluation that can be expressed as a recipe."""
    evaluation = job.settings.evaluation
    days = evaluation.baseline_half_lives_days
    windows = evaluation.baseline_windows_days
    similar = UserNeighbours.name in job.settings.item_models.options()
    return {
        policy: plain_weights(policy, half_lives_days=days, windows_days=windows, similar_shoppers=similar)
        for policy in POLICIES
    }


def _fingerprint(refused: ModelVersion, decided_by: str) -> str:
    return f"{refused.fingerprint}-plain-{decided_by}"


def _recipe(job: Job, methods: Methods) -> Recipe:
    """The recipe that all methods share; its weights contain every term that any of them uses."""
    bare = bare_recipe(job.record(BUILD)["target"], job)
    weights = {
        policy: {term: 1.0 for terms in of_policy.values() for term in terms} for policy, of_policy in methods.items()
    }
    options = job.settings.item_models.options()
    models = {name: options[name][0] for name in weights[NEXT_BASKETS] if name in options}
    own = own_terms(job.settings.evaluation.baseline_half_lives_days)
    return replace(bare, item_models={**bare.item_models, **models}, sparse_terms=own, weights=weights)


@contextmanager
def _training_data(job: Job, recipe: Recipe, cut: datetime) -> Iterator[TrainingData]:
    """The training data of the recipe's models: what was known before a cut."""
    windows = job.windows()
    known = known_before(events_until(job, windows), cut)
    target = job.record(BUILD)["target"]
    features = built_catalogue(job, windows) if cut == windows.cut else catalogue(known, as_of=cut, target=target)
    signals = SignalsAt(known, cut, job.settings.interactions, recipe.half_lives())
    try:
        yield TrainingData(signals.strengths, signals.sequences(), features, cut)
    finally:
        signals.forget()


def _fitted(job: Job, recipe: Recipe, cut: datetime) -> Artifact:
    with _training_data(job, recipe, cut) as data:
        return fitted(recipe, data, settings=job.settings, by=factoriser(job)).artifact


def _judged(job: Job, refused: ModelVersion, shared: Recipe, methods: Methods, judging: Judging) -> dict[str, Choice]:
    """The best method of each policy by the gate's metric on the validation days; the first one on ties. Methods that
    keep the limits come before all others: these serve only so that shoppers have lists."""
    gate, cut = job.settings.gate, job.windows().validation_cut
    artifact = _fitted(job, shared, cut)
    names = list(dict.fromkeys(name for of_policy in methods.values() for name in of_policy))
    # This name lets a later step remove what a killed one has left.
    scratch = validation_folder(job.home, refused.fingerprint, "challenger-plain")
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        lists = []
        for name in names:
            # A method that a task does not have is not considered for it.
            weights = {policy: of_policy.get(name, {}) for policy, of_policy in methods.items()}
            replace(artifact, recipe=replace(artifact.recipe, weights=weights)).save(scratch / name)
            lists.append(served_lists(judging.cases, artifact=scratch / name, clock=cut, length=gate.k, model=name))
        made = collected(*lists)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    judged, broken = per_user(made, judging.truth, ks=[gate.k], by=("task", "model")), judging.broken_by(made)
    means = judged.group_by(["task", "model"]).aggregate([(gate.metric, "mean"), (gate.metric, "count")])
    found = {(row["task"], row["model"]): row for row in means.to_pylist()}
    choices = {
        policy: [
            Choice(name, row[f"{gate.metric}_mean"], row[f"{gate.metric}_count"], (policy, name) in broken)
            for name in methods[policy]
            if (row := found.get((policy, name))) is not None
        ]
        for policy in POLICIES
    }
    return {policy: best_choice(of_policy, next(iter(methods[policy]))) for policy, of_policy in choices.items()}


def best_choice(choices: Sequence[Choice], otherwise: str) -> Choice:
    """The best of the choices that keep the limits, of all if none does; the method `otherwise` without a choice."""
    return max(
        choices,
        key=lambda choice: (not choice.breaks_limit, choice.value or 0.0),
        default=Choice(otherwise, None, 0),
    )


def _decision(job: Job, refused: ModelVersion, chosen: Mapping[str, Choice]) -> GateDecision:
    gate = job.settings.gate
    reasons = [f"version {refused.model_version} was refused and no other serves: the best plain methods serve instead"]
    metrics = {}
    for policy, choice in chosen.items():
        metrics[f"{policy}.users"] = float(choice.users)
        if choice.value is None:
            reasons.append(f"{policy}: {choice.method}, as no shopper could be judged")
            continue
        metrics[f"{policy}.value"] = choice.value
        shown = f"{gate.metric}@{gate.k} {choice.value:.4f} over {choice.users} shoppers"
        reasons.append(f"{policy}: {choice.method} is the best of the plain methods, {shown}")
        if choice.breaks_limit:
            reasons.append(f"{policy}: none of the plain methods keeps the limits on audits, and shoppers need lists")
    return GateDecision(accepted=True, reasons=tuple(reasons), metrics=metrics)


def _registered(
    job: Job, fingerprint: str, recipe: Recipe, chosen: Mapping[str, Choice], decision: GateDecision
) -> ModelVersion:
    """The version fitted as of the run's cut, like the challenger."""
    artifact = _fitted(job, recipe, job.windows().cut)
    store = registry(job)
    tags = {_TAG: ", ".join(f"{policy}: {choice.method}" for policy, choice in chosen.items())}
    with store.training_run(RECOMMENDER, params=recipe_params(recipe), fingerprint=fingerprint, tags=tags) as run:
        run.log_inputs({table.name: job.warehouse.version(table) for table in (EVENTS, ITEM_FEATURES)})
        run.log_metrics({f"validation_{name}": value for name, value in decision.metrics.items()})
        run.log_text(blend_svg(recipe.weights), "blend.svg")
        with tempfile.TemporaryDirectory(dir=job.home.mlflow) as scratch:
            artifact.save(Path(scratch) / SCORING)
            run.log_folder(Path(scratch) / SCORING, SCORING)
        return store.register(RECOMMENDER, run, SCORING)
