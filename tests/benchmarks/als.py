"""Training of the factor model against MLlib's ALS: whole Spark jobs on Gowalla, in alternating pairs."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pyspark.ml.recommendation import ALS
from pyspark.sql import DataFrame, SparkSession

from freshet.core.session import spark_session
from freshet.models.factors.parameters import AlsParameters
from tests.benchmarks.tables.gowalla import native
from tests.benchmarks.tables.gowalla_data import (
    ITEMS,
    USERS,
    Gowalla,
    fitted_vectors,
    gowalla_data,
    interactions,
    judged,
    vectors,
)
from tests.benchmarks.tables.judged import Split

REPOSITORY = Path(__file__).parents[2]
RANKS = (64, 128)
SHORT, LONG = 5, 15
MLLIBS = AlsParameters(64, SHORT, reg_param=0.1, alpha=20.0, seed=1)
"""The setting of both sides."""

BLOCKS = (2, 4, 10)
"""Numbers of blocks that MLlib is tried with; the quickest serves."""

QUICK_USERS, QUICK_RANK, QUICK_SHORT, QUICK_LONG = 2_000, 16, 1, 3

Fit = Callable[[int, int], "Timed"]
"""Rank and iterations to a timed training."""


class Timed(NamedTuple):
    """Seconds from the frame of interactions to both frames of factors, and the factors."""

    seconds: float
    users: NDArray[np.float32]
    items: NDArray[np.float32]


def als(quick: bool, pairs: int = 5) -> dict[str, Any]:
    """mllib_over_ours_rank*: the lowest ratio over pairs of the time per iteration, (T(15) - T(5)) / 10 of whole jobs.

    Trained on Gowalla without the validation part, on which both are judged; --quick is a slice of it at rank 16.
    """
    spark = bench_session("freshet-bench-als")
    data = gowalla_data()
    if quick:
        data = Gowalla(*(part[:QUICK_USERS] for part in data))
    try:
        frame = interactions(spark, data.train)
        ours = our_fit(spark, frame)
        _warm_up(ours, _mllib(frame, BLOCKS[0]))
        blocks = min(BLOCKS, key=lambda number: _mllib(frame, number)(QUICK_RANK, QUICK_SHORT).seconds)
        found: dict[str, Any] = {"mllib_blocks": blocks, "pairs": pairs}
        for rank in (QUICK_RANK,) if quick else RANKS:
            found |= _compared(rank, ours, _mllib(frame, blocks), data, 1 if quick else pairs, quick)
        return found
    finally:
        spark.stop()


def bench_session(name: str) -> SparkSession:
    """A local session on two cores."""
    options = {"spark.driver.memory": "4g", "spark.driver.host": "127.0.0.1"}
    return spark_session(name, jars=REPOSITORY / ".jars", master="local[2]", options=options)


def _warm_up(*fits: Fit) -> None:
    """First runs pay for compilers of both sides."""
    for fit in fits:
        fit(8, 1)


def our_fit(spark: SparkSession, frame: DataFrame, like: AlsParameters = MLLIBS) -> Fit:
    """Whole trainings by our engine of a frame of `interactions`, of any rank and number of iterations, else `like`."""

    def fit(rank: int, iterations: int) -> Timed:
        started = time.perf_counter()
        fitted = native(spark).fit(frame, replace(like, rank=rank, max_iter=iterations), with_users=True)
        assert fitted.users is not None
        fitted.users.write.format("noop").mode("overwrite").save()
        seconds = time.perf_counter() - started
        users, items = fitted_vectors(fitted, (USERS, ITEMS))
        fitted.forget()
        return Timed(seconds, users, items)

    return fit


def _mllib(frame: DataFrame, blocks: int) -> Fit:
    def fit(rank: int, iterations: int) -> Timed:
        started = time.perf_counter()
        trainer = ALS(
            userCol="user", itemCol="item", ratingCol="strength", implicitPrefs=True, rank=rank, maxIter=iterations,
            regParam=MLLIBS.reg_param, alpha=MLLIBS.alpha, seed=MLLIBS.seed, numUserBlocks=blocks, numItemBlocks=blocks,
        )  # fmt: skip
        model = trainer.fit(frame)
        for factors in (model.userFactors, model.itemFactors):
            factors.write.format("noop").mode("overwrite").save()
        seconds = time.perf_counter() - started
        users, items = model.userFactors.toArrow(), model.itemFactors.toArrow()
        return Timed(seconds, vectors(users, USERS), vectors(items, ITEMS))

    return fit


def _compared(rank: int, ours: Fit, mllib: Fit, data: Gowalla, pairs: int, quick: bool) -> dict[str, Any]:
    short, long = (QUICK_SHORT, QUICK_LONG) if quick else (SHORT, LONG)
    per_iteration, whole, ndcg = [], [], {}
    for _ in range(pairs):
        runs = {
            (name, iterations): fit(rank, iterations)
            for iterations in (short, long)
            for name, fit in (("mllib", mllib), ("ours", ours))
        }
        slope = {
            name: (runs[name, long].seconds - runs[name, short].seconds) / (long - short) for name in ("mllib", "ours")
        }
        per_iteration.append((slope["mllib"], slope["ours"]))
        whole.append(runs["mllib", long].seconds / runs["ours", long].seconds)
        if not ndcg:
            ndcg = {key: late_ndcg(run.users, run.items, data) for key, run in runs.items()}
    ratios = [theirs / own for theirs, own in per_iteration]
    mllib_seconds, our_seconds = np.median(np.array(per_iteration), axis=0)
    return {
        f"mllib_over_ours_rank{rank}": round(min(ratios), 1),
        f"mllib_over_ours_rank{rank}_highest": round(max(ratios), 1),
        f"mllib_over_ours_rank{rank}_whole_fit": round(min(whole), 1),
        f"mllib_s_per_iteration_rank{rank}": round(float(mllib_seconds), 3),
        f"our_s_per_iteration_rank{rank}": round(float(our_seconds), 3),
        **{f"ndcg20_{name}_rank{rank}_{iterations}_iterations": round(value, 4)
           for (name, iterations), value in ndcg.items()},
    }  # fmt: skip


def late_ndcg(users: NDArray[np.float32], items: NDArray[np.float32], data: Gowalla) -> float:
    """NDCG@20 of vectors on the validation part."""
    return float(judged(users, items, Split(data.train, data.validation))["ndcg"].mean())
