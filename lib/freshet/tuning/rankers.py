"""Searches a ranker for each policy: rows of candidates from validation cases, cross-validation, and the final fit."""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame

from freshet.ranking.artifact import Artifact
from freshet.ranking.best_items import best_items, cut
from freshet.ranking.candidate_features import best_candidates, feature_names
from freshet.ranking.histories.history_block import read_block
from freshet.ranking.ranker.ranker import Ranker, fold_of
from freshet.ranking.scoring import scored
from freshet.tuning.parameters import RankerParameters
from freshet.tuning.policy_tasks import by_policy
from freshet.tuning.ranker_fit import RankerRows, RankerTrial, chosen_trial, cross_validated, fitted_ranker
from freshet.tuning.true_items import true_items
from freshet.tuning.weights import ideal_dcg


class RankerSearch(NamedTuple):
    """The trials of one policy, and the ranker with its trial; None if no number of trees gained enough. `problem`: why
    there are no trials though there are enough shoppers, empty if there is nothing to say."""

    trials: list[RankerTrial]
    chosen: RankerTrial | None
    ranker: Ranker | None
    problem: str


def searched_rankers(
    cases: DataFrame, artifact: Artifact, *, clock: datetime, k: int, params: RankerParameters
) -> dict[str, RankerSearch]:
    """The result for each policy with cases, on the blend of the artifact's recipe, with its terms as features."""

    def work(policy: str, batches: Iterator[pa.RecordBatch]) -> str:
        trials, chosen, ranker, problem = searched_ranker(
            batches, artifact, policy=policy, clock=clock, k=k, params=params
        )
        return json.dumps([trials, chosen, ranker and ranker.to_values(), problem])

    found = {policy: json.loads(text) for policy, text in by_policy(cases, work).items()} if params.trees else {}
    return {policy: _read(*each) for policy, each in found.items()}


def _read(
    trials: list[list[float]], chosen: list[float] | None, ranker: dict[str, Any] | None, problem: str
) -> RankerSearch:
    """The result from the values that a task has returned as JSON."""
    return RankerSearch(
        [_trial(trial) for trial in trials],
        None if chosen is None else _trial(chosen),
        None if ranker is None else Ranker.from_values(ranker),
        problem,
    )


def _trial(values: list[float]) -> RankerTrial:
    return RankerTrial(int(values[0]), values[1], values[2])


def searched_ranker(
    cases: Iterator[pa.RecordBatch],
    artifact: Artifact,
    *,
    policy: str,
    clock: datetime,
    k: int,
    params: RankerParameters,
) -> RankerSearch:
    """The result for one policy, from all cases."""
    try:
        import lightgbm  # noqa: F401 - a system without a library that it needs shall have a blend
    except OSError as error:
        return RankerSearch([], None, None, str(error))
    names = feature_names(artifact)
    rows = ranker_rows(cases, artifact, names, policy=policy, clock=clock, k=k, params=params)
    if rows is None:
        return RankerSearch([], None, None, "")
    found = cross_validated(rows, params, k=k)
    chosen = chosen_trial(found.trials)
    ranker = chosen and fitted_ranker(rows, names, chosen.trees, params, found=found)
    return RankerSearch(found.trials, chosen, ranker, "")


def ranker_rows(
    cases: Iterator[pa.RecordBatch],
    artifact: Artifact,
    names: list[str],
    *,
    policy: str,
    clock: datetime,
    k: int,
    params: RankerParameters,
) -> RankerRows | None:
    """The best items by the blend of each case (user_id, history, truth) that has a true item under the policy, found
    by the functions that make lists. None without any."""
    candidates = params.candidates
    made = cut(artifact, policy, candidates)
    parts = []
    for batch in cases:
        for start in range(0, batch.num_rows, made.shoppers):
            part = batch.slice(start, made.shoppers)
            block = read_block(
                part.column("history"), items=artifact.items, event_names=artifact.recipe.event_names, clock=clock
            )
            keys, count, _ = true_items(part, block, artifact, policy)
            result = scored(
                block, artifact, policy=policy, buffer=made.buffer(block.shoppers), for_search=made.is_search
            )
            best = best_candidates(result, artifact, names, best_items(result, made.items, candidates))
            hits = np.isin(np.arange(block.shoppers)[:, None] * block.items + best.columns, keys) & best.is_item
            fold = fold_of(part.column("user_id"), params.folds)
            judged = count > 0
            rows = RankerRows(best.features, hits, best.is_item, ideal_dcg(np.maximum(count, 1), k), fold)
            parts.append(rows.of(judged))
    every = [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]
    return RankerRows(*every) if every and len(every[0]) else None
