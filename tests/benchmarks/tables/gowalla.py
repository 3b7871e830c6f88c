"""The BARS board of Gowalla (split of NGCF and LightGCN): a factor model alone, trained in one Spark job."""

import time
from dataclasses import replace
from typing import Any

import numpy as np
from pyspark.sql import SparkSession

from freshet.models.als import Factoriser
from freshet.models.als_parameters import AlsParameters, FactorisationParameters
from freshet.session import task_cores
from tests.benchmarks.tables.gowalla_data import ITEMS, USERS, fitted_vectors, gowalla_data, interactions, judged
from tests.benchmarks.tables.judged import Split, interval
from tests.benchmarks.tables.trials import best, recorded

_FIRST = AlsParameters(rank=1024, max_iter=5, reg_param=40.0, alpha=50.0, seed=1, reg_power=0.3)
GRID = (_FIRST, replace(_FIRST, reg_param=120.0, reg_power=0.0), replace(_FIRST, reg_param=0.3, reg_power=1.0))
QUICK_RANK = 32
SEEDS = (1, 2, 3)


def native(spark: SparkSession) -> Factoriser:
    """Our engine, with all cores of the session."""
    return Factoriser(FactorisationParameters("native", 3, 8.0), task_cores(spark), print)


def gowalla(spark: SparkSession, quick: bool) -> dict[str, Any]:
    """Figures of the setting that the validation part chose, as means over seeds; seconds of the slowest whole job."""
    data = gowalla_data()
    frame = interactions(spark, data.train)
    trials = []
    for setting in GRID[:1] if quick else GRID:
        params = replace(setting, rank=QUICK_RANK) if quick else setting
        found, _ = _trained(spark, frame, params, Split(data.train, data.validation))
        trials.append(recorded("gowalla", "validation part", params, "ndcg@20", float(found["ndcg"].mean())))
    frame.unpersist()
    chosen = best(trials)
    train = data.published_train
    frame = interactions(spark, train)
    runs = [
        _trained(spark, frame, AlsParameters(**{**chosen.setting, "seed": seed}), Split(train, data.test))
        for seed in (SEEDS[:1] if quick else SEEDS)
    ]
    frame.unpersist()
    recall, ndcg = (np.stack([found[name] for found, _ in runs]) for name in ("recall", "ndcg"))
    seconds = max(each for _, each in runs)
    return {
        "model": f"Freshet factor model, rank {chosen.setting['rank']}, Spark job",
        "row": [float(recall.mean()), float(ndcg.mean()), seconds],
        "recall_at_20": round(float(recall.mean()), 4),
        "recall_by_seed": [round(float(value), 4) for value in recall.mean(axis=1)],
        "recall_interval_users": [round(value, 4) for value in interval(recall.mean(axis=0))],
        "ndcg_at_20": round(float(ndcg.mean()), 4),
        "ndcg_by_seed": [round(float(value), 4) for value in ndcg.mean(axis=1)],
        "ndcg_interval_users": [round(value, 4) for value in interval(ndcg.mean(axis=0))],
        "seconds": round(seconds, 1),
        "trials": [chosen.id],
        "settings": [chosen.setting],
    }


def _trained(
    spark: SparkSession, frame: Any, params: AlsParameters, split: Split
) -> tuple[dict[str, np.ndarray], float]:
    started = time.perf_counter()
    fitted = native(spark).fit(frame, params, with_users=True)
    users, items = fitted_vectors(fitted, (USERS, ITEMS))
    seconds = time.perf_counter() - started
    fitted.forget()
    return judged(users, items, split), seconds
