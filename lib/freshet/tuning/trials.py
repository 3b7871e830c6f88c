"""Trials inside Spark tasks: single terms and whole blends, evaluated on validation cases.

One task per policy receives the cases as Arrow batches; only figures leave it.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime

import pyarrow as pa
from pyspark.sql import DataFrame

from freshet.ranking.artifact import Artifact
from freshet.ranking.terms.registry import FACTORS, POPULARITY
from freshet.tuning.candidates import candidates_of
from freshet.tuning.parameters import SearchParameters
from freshet.tuning.policy_tasks import Work, by_policy
from freshet.tuning.weights import Trial, best_weights


def _of_trials(work: Callable[[str, Iterator[pa.RecordBatch]], tuple[int, list[Trial]]]) -> Work:
    def as_text(policy: str, batches: Iterator[pa.RecordBatch]) -> str:
        count, trials = work(policy, batches)
        return json.dumps([count, [{"weights": trial.weights, "ndcg": trial.ndcg} for trial in trials]])

    return as_text


def collected(
    cases: DataFrame, work: Callable[[str, Iterator[pa.RecordBatch]], tuple[int, list[Trial]]]
) -> dict[str, tuple[int, list[Trial]]]:
    """Number of cases and trials by policy; a policy without any case that can be evaluated is missing."""
    found = {policy: json.loads(text) for policy, text in by_policy(cases, _of_trials(work)).items()}
    return {
        policy: (count, [Trial(t["weights"], t["ndcg"]) for t in trials])
        for policy, (count, trials) in found.items()
        if count
    }


def fold_in_trials(
    cases: DataFrame,
    artifact: Artifact,
    *,
    half_lives_days: list[float | None],
    clock: datetime,
    k: int,
    params: SearchParameters,
) -> dict[str, tuple[int, list[Trial]]]:
    """NDCG@k of the factor term alone by the decay of folded-in strengths, as trials named by the half-life's index."""
    per_term = params.candidates_per_term
    bare = _alone(artifact)

    def work(policy: str, batches: Iterator[pa.RecordBatch]) -> tuple[int, list[Trial]]:
        cached, trials, count = list(batches), [], 0
        for number, half_life in enumerate(half_lives_days):
            recipe = replace(bare.recipe, user_half_life_days=half_life)
            found = candidates_of(
                iter(cached), replace(bare, recipe=recipe), policy=policy, clock=clock, k=k, per_term=per_term
            )
            if found is not None:
                count = len(found.allowed)
                trials.append(Trial({str(number): 1.0}, found.ndcg(found.terms[FACTORS.name])))
        return count, trials

    return collected(cases, work)


def item_model_trials(
    cases: DataFrame, artifact: Artifact, model: str, *, clock: datetime, k: int, params: SearchParameters
) -> dict[str, tuple[int, list[Trial]]]:
    """NDCG@k of an item model alone, one trial for each policy."""
    bare = _alone(artifact)

    def work(policy: str, batches: Iterator[pa.RecordBatch]) -> tuple[int, list[Trial]]:
        found = candidates_of(batches, bare, policy=policy, clock=clock, k=k, per_term=params.candidates_per_term)
        if found is None:
            return 0, []
        # A model without any weights has no values and ranks no item.
        ndcg = found.ndcg(found.terms[model]) if model in found.terms else 0.0
        return len(found.allowed), [Trial({model: 1.0}, ndcg)]

    return collected(cases, work)


def _alone(artifact: Artifact) -> Artifact:
    """The artifact without item vectors and sparse terms."""
    return replace(artifact, terms={}, recipe=replace(artifact.recipe, sparse_terms={}))


def blend_trials(
    cases: DataFrame, artifact: Artifact, *, clock: datetime, k: int, params: SearchParameters
) -> dict[str, tuple[int, list[Trial]]]:
    """Coordinate ascent over all terms of the artifact, from the factor model and from the item model that alone ranks
    best; the last trial of a policy is its best."""

    def work(policy: str, batches: Iterator[pa.RecordBatch]) -> tuple[int, list[Trial]]:
        return searched_weights(batches, artifact, policy=policy, clock=clock, k=k, params=params)

    return collected(cases, work)


def searched_weights(
    cases: Iterator[pa.RecordBatch], artifact: Artifact, *, policy: str, clock: datetime, k: int,
    params: SearchParameters,
) -> tuple[int, list[Trial]]:  # fmt: skip
    """The work of a task of `blend_trials`: the number of cases that count, and the trials, the best one last."""
    own = {name: 2.0 if n == 0 else 0.5 for n, name in enumerate(artifact.recipe.sparse_terms)}
    found = candidates_of(cases, artifact, policy=policy, clock=clock, k=k, per_term=params.candidates_per_term)
    if found is None:
        return 0, []
    singles = [[Trial({name: 1.0}, found.ndcg(values))] for name, values in found.terms.items()]
    starts = [{FACTORS.name: 1.0, POPULARITY.member(14): 0.5, **own}]
    alone = {name: trial.ndcg for (trial,) in singles for name in trial.weights if name in artifact.item_weights}
    if alone:
        best = max(alone, key=lambda name: alone[name])
        starts.append({best: 1.0, POPULARITY.member(30): 0.5, **own})
    runs = [best_weights(found, start, rounds=params.rounds, min_gain=params.min_gain) for start in starts]
    by_result = sorted([*singles, *runs], key=lambda trials: trials[-1].ndcg)
    return len(found.allowed), [trial for trials in by_result for trial in trials]
