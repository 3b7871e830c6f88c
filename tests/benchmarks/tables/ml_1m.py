"""MovieLens 1M in RePlay's protocol: ratings of 3 and more, the last 20 % by time are the test, cold users and items
dropped, top 10 without what was seen. Counts and the popularity row must equal the published ones, or nothing is shown.

Settings are chosen on splits by time of the training part alone.
"""

import time
from dataclasses import asdict, replace
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession
from scipy.sparse import csr_matrix

from freshet.models.factors.parameters import AlsParameters
from freshet.models.items.linear_items import LinearItemParameters, linear_item_weights
from freshet.models.items.next_items import NextItemParameters, next_item_weights
from freshet.numeric.coded_rows import changes
from tests.benchmarks.tables.gowalla import native
from tests.benchmarks.tables.gowalla_data import fitted_vectors, interactions
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
from tests.benchmarks.tables.spark_side import DATA, MEMORY_GB, pairs_frame, threads
from tests.benchmarks.tables.trials import Trial, best, recorded

K = 10
_FACTORS = AlsParameters(rank=32, max_iter=5, reg_param=113.0, alpha=1.0, seed=1, reg_power=0.0)
FACTORS = tuple(replace(_FACTORS, reg_param=reg) for reg in (57.0, 80.0, 113.0, 160.0))
"""Every shopper knows about as much as any other beside the catalogue, so the regularisation is one for all."""

# All items are dense: the catalogue has fewer.
LINEAR = (LinearItemParameters(1000.0, count=1000, dense_items=5000),)
NEXT = tuple(
    NextItemParameters(
        decay=0.95, steps=50, reg_param=3000.0, co_occurrence=shared, count=1000, dense_items=5000
    )
    for shared in (3.0, 10.0)
)  # fmt: skip
SHARES = (0.25, 0.4)
"""Of an item model in a blend with the best factor model, both standardised."""

PEER: dict[str, Any] = {"rank": 32, "iterations": 10, "alpha0": 1.0, "reg": 0.01}
"""Of irspack, chosen on an inner split by time."""

CUTS = (0.5, 0.6, 0.7, 0.8, 0.9)
"""Shares of the training part, by time, after which its inner splits begin: one has some 350 shoppers, too few to
tell settings apart; all have 1,607."""

PUBLISHED_COUNTS = (669_181, 86_542)
PUBLISHED_POPULARITY = {"hit": 0.645, "mrr": 0.390, "ndcg": 0.244}


class Ratings(NamedTuple):
    users: NDArray[np.int64]
    items: NDArray[np.int64]
    times: NDArray[np.int64]

    def where(self, keep: NDArray[np.bool_]) -> "Ratings":
        return Ratings(self.users[keep], self.items[keep], self.times[keep])


class Setting(NamedTuple):
    """A factor model, an item model, or both, the latter with a share of the score."""

    factors: AlsParameters | None
    items: LinearItemParameters | NextItemParameters | None
    share: float

    def told(self) -> dict[str, Any]:
        """As plain values, for the record."""
        parts = {"factors": self.factors, "items": self.items}
        return {name: asdict(part) for name, part in parts.items() if part is not None} | {"share": self.share}


class Part(NamedTuple):
    """A split as matrices, the ids of their columns, and the ratings of its training side."""

    split: Split
    ids: list[str]
    train: Ratings


def ml_1m(spark: SparkSession, quick: bool) -> dict[str, Any]:
    """Figures of the factor model, an item model or their blend, as inner time splits have chosen."""
    train, test = time_split(_positives())
    if (len(train.users), len(test.users)) != PUBLISHED_COUNTS:
        raise AssertionError(f"rows of the parts are {len(train.users)}, {len(test.users)}, not {PUBLISHED_COUNTS}")
    whole = _part(train, test)
    popular = _means(_popularity(whole.split))
    if any(abs(popular[name] - value) > 5e-4 for name, value in PUBLISHED_POPULARITY.items()):
        raise AssertionError(f"popularity gives {popular}, published is {PUBLISHED_POPULARITY}")
    chosen, trials = _chosen(spark, train, quick)
    found, seconds = _judged(spark, whole, chosen)
    means = _means(found)
    low, high = interval(found["ndcg"])
    named = "EASE" if isinstance(chosen.items, LinearItemParameters) else "next-item model"
    parts = [name for name, part in (("factors", chosen.factors), (named, chosen.items)) if part is not None]
    return {
        "model": f"Freshet {' + '.join(parts)}, Spark job",
        "row": [means["hit"], means["mrr"], means["ndcg"], seconds],
        "peers": {} if quick else peer_rows(whole.split, ("hit", "mrr", "ndcg"), k=K, **PEER),
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
        "trials": [best(trials).id],
        "settings": [chosen.told()],
        "validation_ndcg_at_10": [round(trial.value, 4) for trial in trials],
    }


def _chosen(spark: SparkSession, train: Ratings, quick: bool) -> tuple[Setting, list[Trial]]:
    """The setting of the highest NDCG over the shoppers of all inner splits."""
    inner = [_part(*time_split(train, cut)) for cut in CUTS[: 1 if quick else None]]
    tried: list[tuple[Setting, Trial]] = []

    def try_all(settings: list[Setting]) -> Setting:
        for setting in settings:
            values = np.concatenate([_judged(spark, part, setting)[0]["ndcg"] for part in inner])
            part = f"all after shares {CUTS} by time of the training part, shoppers of all of them"
            tried.append((setting, recorded("ml_1m", part, setting.told(), "ndcg@10", float(values.mean()))))
        return max(tried[-len(settings) :], key=lambda one: one[1].value)[0]

    few = 1 if quick else None
    taste = try_all([Setting(params, None, 0.0) for params in FACTORS[:few]])
    linear = try_all([Setting(None, params, 1.0) for params in LINEAR[:few]])
    try_all([Setting(None, params, 1.0) for params in NEXT[:few]])
    rivals = (linear.items, *NEXT[:few])
    try_all([Setting(taste.factors, items, share) for items in rivals for share in SHARES[:few]])
    return max(tried, key=lambda one: one[1].value)[0], [trial for _, trial in tried]


def _positives() -> Ratings:
    table = pq.read_table(DATA / "ml_1m" / "ratings.parquet")
    liked = table["Rating"].to_numpy() >= 3
    return Ratings(*(table[name].to_numpy()[liked] for name in ("UserID", "MovieID", "Timestamp")))


def time_split(ratings: Ratings, share: float = 0.8) -> tuple[Ratings, Ratings]:
    """The rows before the moment that this share of rows lies before, and those from it on of known users and items."""
    moment = np.sort(ratings.times)[int(len(ratings.times) * share)]
    train = ratings.where(ratings.times < moment)
    test = ratings.where(ratings.times >= moment)
    return train, test.where(np.isin(test.users, train.users) & np.isin(test.items, train.items))


def _part(train: Ratings, test: Ratings) -> Part:
    users, items = np.unique(train.users), np.unique(train.items)

    def matrix(part: Ratings) -> csr_matrix:
        places = np.searchsorted(users, part.users), np.searchsorted(items, part.items)
        return csr_matrix((np.ones(len(part.users), np.float32), places), shape=(len(users), len(items)))

    return Part(Split(matrix(train), matrix(test)), [f"{item:05d}" for item in items], train)


def _popularity(split: Split) -> dict[str, NDArray[np.float64]]:
    shoppers = np.asarray(split.known.sum(axis=0), dtype=np.float32)
    lists = lists_by(lambda rows: np.repeat(shoppers, len(rows), axis=0), judged_users(split), split, K)
    return metrics(lists, split)


def _judged(spark: SparkSession, part: Part, setting: Setting) -> tuple[dict[str, NDArray[np.float64]], float]:
    """Metrics by user, and seconds of fits and lists."""
    split, ids, train = part
    sequences = _sequences(spark, train) if isinstance(setting.items, NextItemParameters) else None
    had = pairs_frame(spark, split.known, ids) if isinstance(setting.items, LinearItemParameters) else None
    pairs = interactions(spark, split.known) if setting.factors else None
    started = time.perf_counter()
    scorers = []
    if setting.factors and pairs is not None:
        fitted = native(spark).fit(pairs, setting.factors, with_users=True)
        users, items = fitted_vectors(fitted, split.known.shape)
        fitted.forget()
        scorers.append((1.0 - setting.share, lambda rows: standardised(users[rows] @ items.T)))
    if isinstance(setting.items, NextItemParameters) and sequences is not None:
        table = next_item_weights(sequences, setting.items, threads=threads(spark), memory_gb=MEMORY_GB)
        following, states = weights_matrix(table, ids), newest_states(train, setting.items)
        scorers.append((setting.share, lambda rows: standardised((states[rows] @ following).toarray())))
    elif isinstance(setting.items, LinearItemParameters) and had is not None:
        table = linear_item_weights(had, setting.items, threads=threads(spark), memory_gb=MEMORY_GB)
        weights = weights_matrix(table, ids)
        scorers.append((setting.share, lambda rows: standardised((split.known[rows] @ weights).toarray())))
    lists = lists_by(
        lambda rows: np.sum([share * scores(rows) for share, scores in scorers], axis=0, dtype=np.float32),
        judged_users(split), split, K,
    )  # fmt: skip
    seconds = time.perf_counter() - started
    if pairs is not None:
        pairs.unpersist()
    return metrics(lists, split), seconds


def _sequences(spark: SparkSession, train: Ratings) -> DataFrame:
    users = pa.array(train.users).cast(pa.string())
    items = pa.array([f"{item:05d}" for item in train.items.tolist()])
    return spark.createDataFrame(pa.table({"user_id": users, "item_id": items, "position": pa.array(train.times)}))


def newest_states(train: Ratings, params: NextItemParameters) -> csr_matrix:
    """[users, items]: decay^(steps back) of the newest steps, ratings of one second being one step."""
    users, items = np.unique(train.users), np.unique(train.items)
    order = np.lexsort((train.times, train.users))
    user, when, item = train.users[order], train.times[order], train.items[order]
    step = np.cumsum(changes(user, when)) - 1
    row = np.searchsorted(users, user)
    newest = np.zeros(len(users), dtype=np.int64)
    np.maximum.at(newest, row, step)
    back = newest[row] - step
    counts = back < params.steps
    values = np.float32(params.decay) ** back[counts].astype(np.float32)
    return csr_matrix((values, (row[counts], np.searchsorted(items, item[counts]))), shape=(len(users), len(items)))


def _means(found: dict[str, NDArray[np.float64]]) -> dict[str, float]:
    return {name: float(values.mean()) for name, values in found.items()}
