"""Lists and truths of both tasks, judged by one evaluation: the served lists beside the plain baselines."""

from collections.abc import Sequence
from datetime import datetime
from functools import reduce
from pathlib import Path

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from freshet.contracts.shoppers import counts_as_taste, order_id, shopper_id
from freshet.evaluation.baseline_strengths import baseline_strengths, window_name
from freshet.evaluation.baselines import Baseline, baseline_lists
from freshet.evaluation.kernels import Nearness
from freshet.evaluation.parameters import EvaluationParameters
from freshet.recommendation.lists import recommended
from freshet.recommendation.parameters import POLICIES
from freshet.steps.fitting import had_items

SERVED = "served"


def truths(cases: DataFrame, *, target: str) -> DataFrame:
    """(task, user_id, items): the truth of next_baskets, and of new_items without what the shopper had.

    Shoppers without a true item of a task have no row in it. `cases` is (user_id, history, truth).
    """
    whole = cases.select(F.lit("next_baskets").alias("task"), "user_id", F.col("truth").alias("items"))
    fresh = cases.select(
        F.lit("new_items").alias("task"), "user_id", F.array_except("truth", had_items(target)).alias("items")
    )
    return whole.unionByName(fresh).where(F.size("items") > 0)


def served_lists(cases: DataFrame, *, artifact: Path, clock: datetime, length: int, model: str) -> DataFrame:
    """(task, model, user_id, items): the lists that the artifact makes under each policy."""
    parts = [
        recommended(
            cases.select("user_id", "history"), artifact=artifact, clock=clock, length=length, policy=policy
        ).select(F.lit(policy).alias("task"), F.lit(model).alias("model"), "user_id", "items")
        for policy in POLICIES
    ]
    return reduce(DataFrame.unionByName, parts)


def plain_lists(
    known: DataFrame,
    cases: DataFrame,
    *,
    baselines: Sequence[Baseline],
    as_of: datetime,
    target: str,
    length: int,
    params: EvaluationParameters,
) -> DataFrame:
    """(task, model, user_id, items): the lists of the baselines, from target events known before `as_of`."""
    orders = known.where(counts_as_taste() & (F.col("event_name") == target)).select(
        shopper_id().alias("user_id"), "item_id", order_id().alias("order_id"), "event_time"
    )
    strengths = baseline_strengths(
        orders,
        as_of=as_of,
        half_lives_days=params.baseline_half_lives_days,
        windows_days=sorted({*params.baseline_windows_days, params.fill_window_days}),
    )
    made = baseline_lists(
        strengths,
        cases,
        baselines=baselines,
        k=length,
        near_items=Nearness(params.item_neighbours, params.item_shrinkage, params.item_asymmetry),
        near_users=Nearness(params.user_neighbours, params.user_shrinkage, 1.0),
        fill=window_name(params.fill_window_days),
    )
    return made.select("task", "model", "user_id", F.transform("items", _with_reason).alias("items"))


def _with_reason(entry: Column) -> Column:
    return F.struct(
        entry["position"].alias("position"),
        entry["item_id"].alias("item_id"),
        entry["score"].cast("double").alias("score"),
        F.lit(None).cast("string").alias("reason"),
    )
