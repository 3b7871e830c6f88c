"""Searches a ranker for each policy: rows of candidates from validation cases, cross-validation, and the final fit."""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame

from freshet.ranking.artifact import Artifact
from freshet.ranking.best_items import best_items, cut
from freshet.ranking.candidate_features import candidate_features, feature_names
from freshet.ranking.histories.history_block import read_block
from freshet.ranking.ranker.ranker import Ranker, fold_of
from freshet.ranking.scoring import scored
from freshet.tuning.parameters import RankerParameters
from freshet.tuning.policy_tasks import by_policy
from freshet.tuning.ranker_fit import RankerRows, RankerTrial, chosen_trees, cross_validated, fitted_ranker
from freshet.tuning.true_items import true_items
from freshet.tuning.weights import ideal_dcg


class RankerSearch(NamedTuple):
    """The trials of one policy, and the chosen ranker; None if no number of trees gained enough. `problem`: why there
    are no trials though there are enough shoppers, empty if there is nothing to say."""

    trials: list[RankerTrial]
    ranker: Ranker | None
    problem: str


def searched_rankers(
    cases: DataFrame, artifact: Artifact, *, clock: datetime, k: int, params: RankerParameters
) -> dict[str, RankerSearch]:
    """The result for each policy with cases, on the blend of the artifact's recipe, with its terms as features."""

    def work(policy: str, batches: Iterator[pa.RecordBatch]) -> str:
        try:
            import lightgbm  # noqa: F401 - a system without a library that it needs shall have a blend
        except OSError as error:
            return json.dumps([[], None, str(error)])
        names = feature_names(artifact)
        rows = ranker_rows(batches, artifact, names, policy=policy, clock=clock, k=k, params=params)
        if rows is None:
            return json.dumps([[], None, ""])
        found = cross_validated(rows, params, k=k)
        trees = chosen_trees(found.trials)
        ranker = fitted_ranker(rows, names, trees, params, found=found).to_values() if trees else None
        return json.dumps([found.trials, ranker, ""])

    found = {policy: json.loads(text) for policy, text in by_policy(cases, work).items()} if params.trees else {}
    return {
        policy: RankerSearch(
            [RankerTrial(*trial) for trial in trials], None if ranker is None else Ranker.from_values(ranker), problem
        )
        for policy, (trials, ranker, problem) in found.items()
    }


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
            columns, scores = _padded(*best_items(result, made.items, candidates), candidates)
            is_item = np.isfinite(scores)
            columns, scores = np.where(is_item, columns, 0), np.where(is_item, scores, np.float32(0))
            features = candidate_features(names, result, artifact, columns, scores)
            hits = np.isin(np.arange(block.shoppers)[:, None] * block.items + columns, keys) & is_item
            judged = count > 0
            fold = fold_of(part.column("user_id"), params.folds)
            parts.append(
                RankerRows(features[judged], hits[judged], is_item[judged], ideal_dcg(count[judged], k), fold[judged])
            )
    rows = [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]
    return RankerRows(*rows) if rows and len(rows[0]) else None


def _padded(
    columns: NDArray[np.int64], scores: NDArray[np.float32], width: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """As many columns as `width`: a catalogue may have fewer items."""
    missing = ((0, 0), (0, width - columns.shape[1]))
    return np.pad(columns, missing), np.pad(scores, missing, constant_values=-np.inf)
