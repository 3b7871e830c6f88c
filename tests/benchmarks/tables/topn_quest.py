"""The five folds of "Top-N Recommendation Algorithms: A Quest for the State-of-the-Art" (Anelli et al. 2022).

Each fold is tested with the four others as training part; the regularisation is chosen once per set, by a fifth of each
user's rows in the training part of the first fold. Means over folds.
"""

import time
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyspark.sql import SparkSession
from scipy.sparse import csr_matrix

from freshet.models.linear_items import LinearItemParameters, linear_item_weights
from tests.benchmarks.tables.judged import Split, lists_of, metrics, weights_matrix
from tests.benchmarks.tables.spark_side import DATA, MEMORY_GB, pairs_frame, threads
from tests.benchmarks.tables.trials import best, recorded

K, KEPT = 10, 1000
SETS = ("movielens_1m", "amazon_music", "epinions")
GRID = {"movielens_1m": (100.0, 300.0, 1000.0), "amazon_music": (3.0, 10.0, 30.0), "epinions": (30.0, 100.0, 300.0)}
SEED = 0


def topn_quest(spark: SparkSession, quick: bool, name: str) -> dict[str, Any]:
    """Figures of one set; quick: one fold and one setting."""
    table = pq.read_table(DATA / "topn_quest_5fold" / f"{name}.parquet")
    users, items = (np.unique(table[column].to_numpy(), return_inverse=True)[1] for column in ("userId", "itemId"))
    fold = table["fold"].to_numpy()
    shape = users.max() + 1, items.max() + 1
    ids = [f"{n:06d}" for n in range(shape[1])]

    def split(train: NDArray[np.bool_], test: NDArray[np.bool_]) -> Split:
        return Split(*(csr_matrix((np.ones(part.sum(), np.float32), (users[part], items[part])), shape=shape)
                       for part in (train, test)))  # fmt: skip

    first = fold != fold.min()
    held = first & (np.random.default_rng(SEED).random(len(fold)) < 0.2)
    trials = []
    for reg in GRID[name][: 1 if quick else None]:
        params = LinearItemParameters(reg, count=KEPT, dense_items=20_000)
        ndcg = _judged(spark, split(first & ~held, held), ids, params)[0]["ndcg"].mean()
        trials.append(
            recorded(f"topn_quest {name}", "a fifth of fold 0's training part", params, "ndcg@10", float(ndcg))
        )
    chosen = best(trials)
    runs = [
        _judged(spark, split(fold != n, fold == n), ids, LinearItemParameters(**chosen.setting))
        for n in np.unique(fold)[: 1 if quick else None]
    ]
    means = {metric: [float(found[metric].mean()) for found, _ in runs] for metric in ("ndcg", "precision", "recall")}
    seconds = float(np.mean([seconds for _, seconds in runs]))
    return {
        "model": "Freshet linear item model (EASE), Spark job",
        "row": [*(float(np.mean(values)) for values in means.values()), seconds],
        "ndcg_at_10": round(float(np.mean(means["ndcg"])), 4),
        "ndcg_by_fold": [round(value, 4) for value in means["ndcg"]],
        "fit_seconds": round(seconds, 2),
        "trials": [chosen.id],
        "settings": [chosen.setting["reg_param"]],
    }


def _judged(
    spark: SparkSession, split: Split, ids: list[str], params: LinearItemParameters
) -> tuple[dict[str, NDArray[np.float64]], float]:
    frame = pairs_frame(spark, split.known, ids)
    started = time.perf_counter()
    table = linear_item_weights(frame, params, threads=threads(spark), memory_gb=MEMORY_GB)
    seconds = time.perf_counter() - started
    return metrics(lists_of(split.known, weights_matrix(table, ids), split, K), split), seconds
