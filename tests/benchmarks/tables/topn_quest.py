"""The five test parts of "Top-N Recommendation Algorithms: A Quest for the State-of-the-Art" (Anelli et al. 2022).

They are no partition but five draws of a fifth of all pairs each, and the training parts were not published: of
MovieLens 1M 388,921 of 583,355 pairs are in one of them. A part is tested with what is in the others and not in it, so
that there is less to learn from than in the paper, and figures are not comparable with its. The regularisation is
chosen once per set, by a fifth of the pairs of the first training part. Means over parts.
"""

import time
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyspark.sql import SparkSession
from scipy.sparse import csr_matrix

from freshet.models.items.linear_items import LinearItemParameters, linear_item_weights
from tests.benchmarks.tables.judged import Split, lists_of, metrics, weights_matrix
from tests.benchmarks.tables.spark_side import DATA, MEMORY_GB, pairs_frame, threads
from tests.benchmarks.tables.trials import best, recorded

K, KEPT = 10, 1000
SETS = ("movielens_1m", "amazon_music", "epinions")
GRID = {"movielens_1m": (100.0, 300.0, 1000.0), "amazon_music": (3.0, 10.0, 30.0), "epinions": (30.0, 100.0, 300.0)}
SEED, HELD = 0, 0.2


def topn_quest(spark: SparkSession, quick: bool, name: str) -> dict[str, Any]:
    """Figures of one set; quick: one fold and one setting."""
    table = pq.read_table(DATA / "topn_quest_5fold" / f"{name}.parquet")
    users, items = (np.unique(table[column].to_numpy(), return_inverse=True)[1] for column in ("userId", "itemId"))
    fold = table["fold"].to_numpy()
    shape = users.max() + 1, items.max() + 1
    ids = [f"{n:06d}" for n in range(shape[1])]
    every = _pairs(users, items, shape)

    def split(number: int) -> Split:
        test = _pairs(users[fold == number], items[fold == number], shape)
        return Split(_without(every, test), test)

    numbers = np.unique(fold)
    first = split(numbers[0]).known
    held = first.copy()
    held.data[np.random.default_rng(SEED).random(first.nnz) >= HELD] = 0
    held.eliminate_zeros()
    inner = Split(_without(first, held), held)
    trials = []
    for reg in GRID[name][: 1 if quick else None]:
        params = LinearItemParameters(reg, count=KEPT, dense_items=20_000)
        ndcg = _judged(spark, inner, ids, params)[0]["ndcg"].mean()
        trials.append(
            recorded(f"topn_quest {name}", "a fifth of the first training part", params, "ndcg@10", float(ndcg))
        )
    chosen = best(trials)
    runs = [
        _judged(spark, split(number), ids, LinearItemParameters(**chosen.setting))
        for number in numbers[: 1 if quick else None]
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
        "pairs_known_of_all": [every.nnz, len(fold)],
    }


def _pairs(users: NDArray[np.int64], items: NDArray[np.int64], shape: tuple[int, int]) -> csr_matrix:
    """1 at each pair, however often it is given."""
    pairs = csr_matrix((np.ones(len(users), np.float32), (users, items)), shape=shape)
    pairs.sum_duplicates()
    pairs.data[:] = 1
    return pairs


def _without(pairs: csr_matrix, others: csr_matrix) -> csr_matrix:
    left = pairs - pairs.multiply(others)
    left.eliminate_zeros()
    return left.tocsr()


def _judged(
    spark: SparkSession, split: Split, ids: list[str], params: LinearItemParameters
) -> tuple[dict[str, NDArray[np.float64]], float]:
    frame = pairs_frame(spark, split.known, ids)
    started = time.perf_counter()
    table = linear_item_weights(frame, params, threads=threads(spark), memory_gb=MEMORY_GB)
    seconds = time.perf_counter() - started
    return metrics(lists_of(split.known, weights_matrix(table, ids), split, K), split), seconds
