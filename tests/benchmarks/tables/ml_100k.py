"""MovieLens 100K with the splitter of Recommenders: 75/25 stratified by item, top 10, all ratings count as liking.

The splitter (python_stratified_split with filter_by="item", version 1.2.1) is written anew: every row draws a uniform
number from NumPy's legacy generator, and of each item's n rows the round(0.75 n) with the lowest numbers are the
training part. Where scripts/peers.sh has put the original, the rows are compared with its rows. Settings are chosen for
each seed on a second split of its training part alone.
"""

import time
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyspark.sql import SparkSession
from scipy.sparse import csr_matrix

from freshet.models.items.linear_items import LinearItemParameters, linear_item_weights
from tests.benchmarks.tables.judged import Split, interval, judged_users, lists_of, metrics, weights_matrix
from tests.benchmarks.tables.peer_rows import peer_rows
from tests.benchmarks.tables.peer_split import peer_training_rows
from tests.benchmarks.tables.spark_side import DATA, MEMORY_GB, pairs_frame, threads
from tests.benchmarks.tables.trials import Trial, best, recorded

SEEDS = (42, 1, 2, 3, 4)
SHARE = 0.75
GRID = (200.0, 300.0, 400.0, 600.0, 900.0)
K = 10
PEER: dict[str, Any] = {"rank": 24, "iterations": 16, "alpha0": 0.3, "reg": 0.02}
"""Of irspack, chosen on the test part: what it can be at most, and not what a user would get."""
COLUMNS = ("map", "ndcg", "precision", "recall")
PARAMS = LinearItemParameters(reg_param=1.0, count=1682, dense_items=1682)


def ml_100k(spark: SparkSession, quick: bool) -> dict[str, Any]:
    """Means over seeds, with the interval over users of the first seed."""
    ratings = pq.read_table(DATA / "ml_100k" / "u.data.parquet")
    users, items = (np.unique(ratings[name].to_numpy(), return_inverse=True)[1] for name in ("user_id", "item_id"))
    ids = [f"{n:05d}" for n in range(items.max() + 1)]
    runs = [_run(spark, users, items, ids, seed, quick) for seed in SEEDS[: 1 if quick else None]]
    means = {name: float(np.mean([run[name].mean() for run in runs])) for name in COLUMNS}
    first = _split(users, items, stratified(items, SEEDS[0]), (users.max() + 1, len(ids)))
    each = [round(float(run["ndcg"].mean()), 4) for run in runs]
    low, high = interval(runs[0]["ndcg"])
    return {
        "model": "Freshet linear item model (EASE), Spark job",
        "row": [*means.values(), float(np.mean([run["seconds"] for run in runs]))],
        "peers": {} if quick else peer_rows(first, COLUMNS, k=K, **PEER),
        "ndcg_at_10": round(means["ndcg"], 4),
        "ndcg_by_seed": each,
        "ndcg_interval_users": [round(low, 4), round(high, 4)],
        "seeds": list(SEEDS[: len(runs)]),
        "train_rows": int(stratified(items, SEEDS[0]).sum()),
        "splitter_equals_recommenders": _as_theirs(items, SEEDS[: len(runs)]),
        "fit_seconds": round(float(np.mean([run["seconds"] for run in runs])), 2),
        "trials": [run["trial"].id for run in runs],
        "settings": [run["trial"].setting["reg_param"] for run in runs],
    }


def _run(
    spark: SparkSession, users: NDArray[np.int64], items: NDArray[np.int64], ids: list[str], seed: int, quick: bool
) -> dict[str, Any]:
    shape = users.max() + 1, len(ids)
    train = stratified(items, seed)
    inner = stratified(items[train], seed)
    validation = _split(users[train], items[train], inner, shape)
    trials: list[Trial] = []
    for reg in GRID[::2] if quick else GRID:
        params = replace(PARAMS, reg_param=reg)
        ndcg = _judged(spark, validation, params, ids)["ndcg"].mean()
        trials.append(recorded("ml_100k", f"seed {seed}: 25 % of the training part", params, "ndcg@10", float(ndcg)))
    chosen = best(trials)
    found = _judged(spark, _split(users, items, train, shape), LinearItemParameters(**chosen.setting), ids)
    return {**found, "trial": chosen}


def stratified(items: NDArray[np.int64], seed: int) -> NDArray[np.bool_]:
    """Marks the training rows: the splitter of the module's text."""
    drawn = np.random.RandomState(seed).rand(len(items))
    order = np.lexsort((drawn, items))
    count = np.bincount(items)
    starts = np.cumsum(count) - count
    in_order = items[order]
    training = np.zeros(len(items), dtype=bool)
    training[order] = np.arange(len(items)) - starts[in_order] < np.round(SHARE * count[in_order])
    return training


def _as_theirs(items: NDArray[np.int64], seeds: tuple[int, ...]) -> bool | None:
    """Whether the original splitter takes the same rows for all seeds; None where it is not there."""
    for seed in seeds:
        theirs = peer_training_rows(items, share=SHARE, seed=seed)
        if theirs is None:
            return None
        if theirs != np.flatnonzero(stratified(items, seed)).tolist():
            return False
    return True


def _split(
    users: NDArray[np.int64], items: NDArray[np.int64], train: NDArray[np.bool_], shape: tuple[int, int]
) -> Split:
    known, truth = (
        csr_matrix((np.ones(int(part.sum()), np.float32), (users[part], items[part])), shape=shape)
        for part in (train, ~train)
    )
    # The notebook's metrics are means over users that both parts have.
    truth = truth.multiply((np.diff(known.indptr) > 0)[:, None]).tocsr()
    truth.eliminate_zeros()
    return Split(known, truth)


def _judged(spark: SparkSession, split: Split, params: LinearItemParameters, ids: list[str]) -> dict[str, Any]:
    frame = pairs_frame(spark, split.known, ids)
    started = time.perf_counter()
    table = linear_item_weights(frame, params, threads=threads(spark), memory_gb=MEMORY_GB)
    seconds = time.perf_counter() - started
    assert len(judged_users(split))
    return {**metrics(lists_of(split.known, weights_matrix(table, ids), split, K), split), "seconds": seconds}
