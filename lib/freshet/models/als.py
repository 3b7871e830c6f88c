"""Implicit-feedback ALS by MLlib: (user_id, item_id, strength) in, factor frames out.

Integer ids are assigned by first appearance, so that they are append-only: MLlib draws starting vectors in the order
of ids, and with old ids kept in place two trainings of the same seed stay nearly comparable.
"""

from dataclasses import dataclass
from typing import NamedTuple

from pyspark.ml.recommendation import ALS, ALSModel
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from freshet.errors import DataTooSmallError


@dataclass(frozen=True)
class AlsParameters:
    """Hyper-parameters, by MLlib's names in snake case.

    `reg_param` is multiplied by the number of positive observations of the shopper or item, `alpha` by the strength:
    confidence = 1 + alpha * strength (Hu, Koren, Volinsky 2008, eq. 4; the scaling is MLlib's).
    """

    rank: int
    max_iter: int
    reg_param: float
    alpha: float
    seed: int

    def __post_init__(self) -> None:
        if self.rank < 1 or self.max_iter < 1:
            raise ValueError("rank and max_iter must be 1 or more")
        if self.reg_param < 0 or self.alpha < 0:
            raise ValueError("reg_param and alpha must be 0 or more")


class FittedAls(NamedTuple):
    """The MLlib model with its vectors by id: (user_id, user_index, factors) and (item_id, item_index, factors)."""

    model: ALSModel
    user_factors: DataFrame
    item_factors: DataFrame


def indexed(interactions: DataFrame, *, column: str, index: str) -> DataFrame:
    """(column, index int from 0): ids by first appearance (`first_time`), ties by id.

    One row per id, all in one partition of the window: an id list, not the data.
    """
    first = interactions.groupBy(column).agg(F.min("first_time").alias("first_time"))
    order = Window.orderBy("first_time", column)
    return first.select(column, (F.row_number().over(order) - 1).cast("int").alias(index))


def fit_als(interactions: DataFrame, params: AlsParameters) -> FittedAls:
    """Fits on rows (user_id, item_id, first_time, strength > 0); rows of strength 0 or null are left out.

    Raises DataTooSmallError when no positive strength is left. Ids must be unique per (user_id, item_id).
    """
    positive = interactions.where("strength > 0 and not isnan(strength)")
    users = indexed(interactions, column="user_id", index="user_index")
    items = indexed(interactions, column="item_id", index="item_index")
    numbered = (
        positive.join(F.broadcast(items), "item_id", how="inner")
        .join(users, "user_id", how="inner")
        .select("user_index", "item_index", F.col("strength").cast("float").alias("strength"))
        .persist()
    )
    try:
        if numbered.isEmpty():
            raise DataTooSmallError("no interaction has a positive strength, so there is nothing to learn tastes from")
        model = _trainer(params).fit(numbered)
    finally:
        numbered.unpersist()
    return FittedAls(
        model,
        _by_id(model.userFactors, users, "user_index").select("user_id", "user_index", "factors"),
        _by_id(model.itemFactors, items, "item_index").select("item_id", "item_index", "factors"),
    )


def _trainer(params: AlsParameters) -> ALS:
    return ALS(
        userCol="user_index",
        itemCol="item_index",
        ratingCol="strength",
        implicitPrefs=True,
        rank=params.rank,
        maxIter=params.max_iter,
        regParam=params.reg_param,
        alpha=params.alpha,
        seed=params.seed,
        # Two blocks: each further block copies factors once more, and two cores do not use it.
        numUserBlocks=2,
        numItemBlocks=2,
    )


def _by_id(factors: DataFrame, ids: DataFrame, index: str) -> DataFrame:
    return factors.select(F.col("id").alias(index), F.col("features").alias("factors")).join(ids, index, how="inner")
