"""MovieLens 1M in RePlay's protocol: ratings of 3 and more, the last 20 % by time are the test, cold users and items
dropped, top 10 without what was seen. Counts and the popularity row must equal the published ones, or nothing is shown.

Settings are chosen on the same split of the training part.
"""

import time
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyspark.sql import SparkSession
from scipy.sparse import csr_matrix

from freshet.models.als_parameters import AlsParameters
from freshet.models.linear_items import LinearItemParameters, linear_item_weights
from tests.benchmarks.tables.gowalla import native
from tests.benchmarks.tables.gowalla_data import fitted_vectors, interactions
from tests.benchmarks.tables.judged import (
    Split,
    interval,
    judged_users,
    lists_by,
    lists_of,
    metrics,
    weights_matrix,
)
from tests.benchmarks.tables.spark_side import DATA, MEMORY_GB, pairs_frame, threads
from tests.benchmarks.tables.trials import best, recorded

K = 10
LINEAR = (1000.0, 3000.0)
_FACTORS = AlsParameters(rank=32, max_iter=10, reg_param=80.0, alpha=1.0, seed=1, reg_power=0.0)
FACTORS = tuple(
    replace(_FACTORS, reg_param=reg, max_iter=count) for count in (5, 10) for reg in (80.0, 160.0, 320.0, 640.0, 1280.0)
)
"""Every shopper knows about as much as any other beside the catalogue, so the regularisation is one for all."""

PUBLISHED_COUNTS = (669_181, 86_542)
PUBLISHED_POPULARITY = {"hit": 0.645, "mrr": 0.390, "ndcg": 0.244}


class Ratings(NamedTuple):
    users: NDArray[np.int64]
    items: NDArray[np.int64]
    times: NDArray[np.int64]

    def where(self, keep: NDArray[np.bool_]) -> "Ratings":
        return Ratings(self.users[keep], self.items[keep], self.times[keep])


def ml_1m(spark: SparkSession, quick: bool) -> dict[str, Any]:
    """Figures of the factor model or the linear item model, by the setting that the inner time split chose."""
    train, test = time_split(_positives())
    if (len(train.users), len(test.users)) != PUBLISHED_COUNTS:
        raise AssertionError(f"rows of the parts are {len(train.users)}, {len(test.users)}, not {PUBLISHED_COUNTS}")
    split, ids = _matrices(train, test)
    popular = _means(_popularity(split))
    if any(abs(popular[name] - value) > 5e-4 for name, value in PUBLISHED_POPULARITY.items()):
        raise AssertionError(f"popularity gives {popular}, published is {PUBLISHED_POPULARITY}")
    inner, inner_ids = _matrices(*time_split(train))
    trials = []
    linear = tuple(LinearItemParameters(reg, count=len(ids), dense_items=len(ids)) for reg in LINEAR)
    for params in (*FACTORS[:1], *linear[:1]) if quick else (*FACTORS, *linear):
        ndcg = _judged(spark, inner, inner_ids, params)[0]["ndcg"].mean()
        trials.append(recorded("ml_1m", "last 20 % by time of the training part", params, "ndcg@10", float(ndcg)))
    chosen = best(trials)
    is_factors = "rank" in chosen.setting
    setting = AlsParameters(**chosen.setting) if is_factors else LinearItemParameters(**chosen.setting)
    found, seconds = _judged(spark, split, ids, setting)
    means = _means(found)
    low, high = interval(found["ndcg"])
    return {
        "model": f"Freshet {'factor model' if is_factors else 'linear item model (EASE)'}, Spark job",
        "row": [means["hit"], means["mrr"], means["ndcg"], seconds],
        "hitrate_at_10": round(means["hit"], 4),
        "mrr_at_10": round(means["mrr"], 4),
        "ndcg_at_10": round(means["ndcg"], 4),
        "ndcg_interval_users": [round(low, 4), round(high, 4)],
        "train_rows": len(train.users),
        "test_rows": len(test.users),
        "popularity_reproduced": {
            name: round(value, 4) for name, value in popular.items() if name in ("hit", "mrr", "ndcg")
        },
        "seconds": round(seconds, 2),
        "trials": [chosen.id],
        "settings": [chosen.setting],
        "validation_ndcg_at_10": [round(trial.value, 4) for trial in trials],
    }


def _positives() -> Ratings:
    table = pq.read_table(DATA / "ml_1m" / "ratings.parquet")
    liked = table["Rating"].to_numpy() >= 3
    return Ratings(*(table[name].to_numpy()[liked] for name in ("UserID", "MovieID", "Timestamp")))


def time_split(ratings: Ratings) -> tuple[Ratings, Ratings]:
    """The rows before and from the moment that 80 % of all rows lie before; of the later, known users and items."""
    moment = np.sort(ratings.times)[int(len(ratings.times) * 0.8)]
    train = ratings.where(ratings.times < moment)
    test = ratings.where(ratings.times >= moment)
    return train, test.where(np.isin(test.users, train.users) & np.isin(test.items, train.items))


def _matrices(train: Ratings, test: Ratings) -> tuple[Split, list[str]]:
    users, items = np.unique(train.users), np.unique(train.items)

    def matrix(part: Ratings) -> csr_matrix:
        places = np.searchsorted(users, part.users), np.searchsorted(items, part.items)
        return csr_matrix((np.ones(len(part.users), np.float32), places), shape=(len(users), len(items)))

    return Split(matrix(train), matrix(test)), [f"{item:05d}" for item in items]


def _popularity(split: Split) -> dict[str, NDArray[np.float64]]:
    shoppers = np.asarray(split.known.sum(axis=0), dtype=np.float32)
    lists = lists_by(lambda rows: np.repeat(shoppers, len(rows), axis=0), judged_users(split), split, K)
    return metrics(lists, split)


def _judged(
    spark: SparkSession, split: Split, ids: list[str], params: AlsParameters | LinearItemParameters
) -> tuple[dict[str, NDArray[np.float64]], float]:
    """Metrics by user, and seconds of fit and lists."""
    if isinstance(params, AlsParameters):
        frame = interactions(spark, split.known)
        started = time.perf_counter()
        fitted = native(spark).fit(frame, params, with_users=True)
        users, items = fitted_vectors(fitted, split.known.shape)
        lists = lists_by(lambda rows: users[rows] @ items.T, judged_users(split), split, K)
        seconds = time.perf_counter() - started
        fitted.forget()
        frame.unpersist()
        return metrics(lists, split), seconds
    frame = pairs_frame(spark, split.known, ids)
    started = time.perf_counter()
    table = linear_item_weights(frame, params, threads=threads(spark), memory_gb=MEMORY_GB)
    lists = lists_of(split.known, weights_matrix(table, ids), split, K)
    return metrics(lists, split), time.perf_counter() - started


def _means(found: dict[str, NDArray[np.float64]]) -> dict[str, float]:
    return {name: float(values.mean()) for name, values in found.items()}
