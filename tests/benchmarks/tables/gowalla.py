"""The BARS board of Gowalla (split of NGCF and LightGCN): factors, item neighbours and popularity, blended as the
product does.

The models are trained in Spark jobs. The settings of each, and the weights of the blend, are chosen on the validation
part, one after the other.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession
from scipy.sparse import csr_matrix, diags

from freshet.core.session import task_cores
from freshet.models.factors.als import Factoriser
from freshet.models.factors.parameters import AlsParameters, FactorisationParameters
from freshet.models.items.neighbours import NeighbourParameters, item_neighbours
from tests.benchmarks.tables.gowalla_data import ITEMS, USERS, K, fitted_vectors, gowalla_data, interactions
from tests.benchmarks.tables.judged import (
    Split,
    interval,
    judged_users,
    lists_by,
    metrics,
    standardised,
    weights_matrix,
)
from tests.benchmarks.tables.peer_rows import peer_rows
from tests.benchmarks.tables.spark_side import threads
from tests.benchmarks.tables.trials import Trial, best, recorded

FACTORS = (
    AlsParameters(rank=256, max_iter=8, reg_param=64.0, alpha=100.0, seed=1, reg_power=0.5),
    AlsParameters(rank=512, max_iter=6, reg_param=64.0, alpha=100.0, seed=1, reg_power=0.5),
    AlsParameters(rank=512, max_iter=6, reg_param=128.0, alpha=100.0, seed=1, reg_power=0.3),
    AlsParameters(rank=1024, max_iter=4, reg_param=40.0, alpha=50.0, seed=1, reg_power=0.3, start=0.01),
)
NEIGHBOURS = tuple(NeighbourParameters(500, asymmetry, 0.0) for asymmetry in (1.2, 1.4))
WEIGHTS = tuple((similar, popular) for similar in (4.0, 6.0, 8.0) for popular in (0.3, 0.45, 0.6))
"""Of the neighbours' scores, each shopper's highest scaled to 1, and of the square root of an item's shoppers,
standardised over the items, beside standardised products of factors."""

PEER: dict[str, Any] = {"rank": 512, "iterations": 4, "alpha0": 0.02, "reg": 0.003, "nu": 1.0}
"""Of six settings of irspack the best on a tenth of the training pairs, drawn at random."""

QUICK_RANK = 32
_SHOPPERS = 256
"""Whose scores are in memory at a time; fewer than `lists_by` takes at a time itself."""
SEEDS = (1, 2, 3)
_IDS = [str(number) for number in range(ITEMS)]

Scores = Callable[[NDArray[np.int64]], NDArray[np.float32]]


class Setting(NamedTuple):
    """A factor model, and what stands beside it: neighbours, with their weight, and the weight of popularity."""

    factors: AlsParameters
    neighbours: NeighbourParameters | None = None
    similar: float = 0.0
    popular: float = 0.0

    def told(self) -> dict[str, Any]:
        """As plain values, for the record."""
        neighbours = None if self.neighbours is None else asdict(self.neighbours)
        return {
            "factors": asdict(self.factors),
            "neighbours": neighbours,
            "similar": self.similar,
            "popular": self.popular,
        }


def native(spark: SparkSession) -> Factoriser:
    """Our engine, with all cores of the session."""
    return Factoriser(FactorisationParameters("native", 3, 8.0), task_cores(spark), print)


def gowalla(spark: SparkSession, quick: bool) -> dict[str, Any]:
    """Figures of the setting that the validation part chose, as means over seeds; seconds of the slowest training."""
    data = gowalla_data()
    chosen, trial, trials = _chosen(spark, Split(data.train, data.validation), quick)
    split = Split(data.published_train, data.test)
    frame, shared = interactions(spark, split.known), interactions(spark, _by_length(split.known))
    runs = []
    for seed in SEEDS[: 1 if quick else None]:
        started = time.perf_counter()
        taste = _taste(spark, frame, replace(chosen.factors, seed=seed))
        similar = None if chosen.neighbours is None else _similar(spark, shared, split.known, chosen.neighbours)
        seconds = time.perf_counter() - started
        runs.append((_figures([chosen], taste, similar, split)[0], seconds))
    frame.unpersist()
    shared.unpersist()
    recall, ndcg = (np.stack([found[name] for found, _ in runs]) for name in ("recall", "ndcg"))
    slowest = max(seconds for _, seconds in runs)
    more = "" if chosen.neighbours is None else " + neighbours + popularity"
    return {
        "model": f"Freshet factors of rank {chosen.factors.rank}{more}, Spark jobs",
        "row": [float(recall.mean()), float(ndcg.mean()), slowest],
        "peers": {} if quick else peer_rows(split, ("recall", "ndcg"), k=K, **PEER),
        "recall_at_20": round(float(recall.mean()), 4),
        "recall_by_seed": [round(float(value), 4) for value in recall.mean(axis=1)],
        "recall_interval_users": [round(value, 4) for value in interval(recall.mean(axis=0))],
        "ndcg_at_20": round(float(ndcg.mean()), 4),
        "ndcg_by_seed": [round(float(value), 4) for value in ndcg.mean(axis=1)],
        "ndcg_interval_users": [round(value, 4) for value in interval(ndcg.mean(axis=0))],
        "seconds": round(slowest, 1),
        "trials": [trial],
        "settings": [chosen.told()],
        "validation_ndcg_at_20": trials,
    }


def _chosen(spark: SparkSession, split: Split, quick: bool) -> tuple[Setting, str, list[float]]:
    """The best setting of the validation part, its trial's id, and the values of all trials."""
    frame, shared = interactions(spark, split.known), interactions(spark, _by_length(split.known))
    tried: dict[str, Setting] = {}
    trials: list[Trial] = []

    def judge(settings: list[Setting], taste: Scores, similar: Scores | None = None) -> None:
        figures = _figures(settings, taste, similar, split)
        for setting, found in zip(settings, figures, strict=True):
            value = float(found["ndcg"].mean())
            trials.append(recorded("gowalla", "validation part", setting.told(), f"ndcg@{K}", value))
            tried[trials[-1].id] = setting

    few = 1 if quick else None
    models = {}
    for each in FACTORS[:few]:
        params = replace(each, rank=QUICK_RANK) if quick else each
        models[params] = _taste(spark, frame, params)
        judge([Setting(params)], models[params])
    factors = tried[best(trials).id].factors
    for neighbours in NEIGHBOURS[:few]:
        settings = [Setting(factors, neighbours, *weights) for weights in WEIGHTS[:few]]
        judge(settings, models[factors], _similar(spark, shared, split.known, neighbours))
    frame.unpersist()
    shared.unpersist()
    chosen = best(trials)
    return tried[chosen.id], chosen.id, [round(trial.value, 4) for trial in trials]


def _taste(spark: SparkSession, frame: DataFrame, params: AlsParameters) -> Scores:
    """x'y, standardised by shopper."""
    fitted = native(spark).fit(frame, params, with_users=True)
    users, items = fitted_vectors(fitted, (USERS, ITEMS))
    fitted.forget()

    return lambda rows: standardised(users[rows] @ items.T)


def _similar(spark: SparkSession, frame: DataFrame, known: csr_matrix, params: NeighbourParameters) -> Scores:
    """What the neighbours of all items known say, the highest of each shopper scaled to 1."""
    weights = weights_matrix(item_neighbours(frame, params, threads=threads(spark)), _IDS)

    def scores(rows: NDArray[np.int64]) -> NDArray[np.float32]:
        found = (known[rows] @ weights).toarray()
        highest = np.maximum(found.max(axis=1, keepdims=True), np.float32(1e-9))
        return np.asarray(found / highest, dtype=np.float32)

    return scores


def _by_length(pairs: csr_matrix) -> csr_matrix:
    """Each shopper's row scaled to length 1: who has been everywhere says less of any two places."""
    counts = np.maximum(np.diff(pairs.indptr), 1)
    return csr_matrix(diags(1.0 / np.sqrt(counts)) @ pairs, dtype=np.float32)


def popularity(known: csr_matrix) -> NDArray[np.float32]:
    """By item, as the product's term item_popular_all."""
    values = np.sqrt(np.asarray(known.sum(axis=0), dtype=np.float32).ravel())
    return (values - values.mean()) / values.std()


def _figures(
    settings: list[Setting], taste: Scores, similar: Scores | None, split: Split
) -> list[dict[str, NDArray[np.float64]]]:
    """For the weights of each setting the metrics at 20 per judged shopper."""
    lists: list[list[NDArray[np.int64]]] = [[] for _ in settings]
    users, popular = judged_users(split), popularity(split.known)
    for start in range(0, len(users), _SHOPPERS):
        rows = users[start : start + _SHOPPERS]
        own = taste(rows)
        others = similar(rows) if similar is not None else np.zeros((), np.float32)
        for setting, found in zip(settings, lists, strict=True):
            total = own + np.float32(setting.similar) * others + np.float32(setting.popular) * popular
            found.append(lists_by(lambda _, total=total: total, rows, split, K))
    return [metrics(np.concatenate(found), split) for found in lists]
