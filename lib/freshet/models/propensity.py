"""Probability that a shopper buys within the next days: logistic regression on features as of rolling cut dates."""

import itertools
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.classification import LogisticRegression, LogisticRegressionModel
from pyspark.ml.functions import vector_to_array
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from freshet.errors import DataTooSmallError
from freshet.models.cuts import time_ordered_folds
from freshet.models.propensity_inputs import FEATURES, input_stages

_LEAST_PROBABILITY = 1e-15
_SECONDS_PER_DAY = 86_400


@dataclass(frozen=True)
class PropensityParameters:
    """What is learned, from how much, and the grid its settings are chosen from.

    `horizon_days`: how far the probability looks ahead. `max_cuts`: newest cut dates learned at. `min_positives`:
    buyers needed among all training rows. `folds`: newest training cuts that settings are judged at. The grid:
    `reg_params` and `elastic_net_params` as in MLlib, `half_lives_days` of a training row's weight by the age of its
    cut (0: all weigh the same). `crossed_columns`: whose squares and products are features too. `seasons`: parts of
    the year with an effect of their own; 0 for none. `max_iter`, `max_block_size_mb`: as in MLlib; `search_max_iter`:
    steps while points of the grid are compared.
    `champion_tolerance`: log loss by which a challenger may be worse than the champion.
    """

    horizon_days: int
    max_cuts: int
    min_positives: int
    folds: int
    reg_params: tuple[float, ...]
    elastic_net_params: tuple[float, ...]
    half_lives_days: tuple[float, ...]
    crossed_columns: tuple[str, ...]
    seasons: int
    max_iter: int
    search_max_iter: int
    max_block_size_mb: float
    champion_tolerance: float

    def __post_init__(self) -> None:
        problems = []
        for name in ("horizon_days", "max_cuts", "min_positives", "folds", "max_iter", "search_max_iter"):
            if getattr(self, name) < 1:
                problems.append(f"{name} must be 1 or more")
        if not self.reg_params or not all(value > 0 for value in self.reg_params):
            problems.append("reg_params must hold numbers above 0")
        if not self.elastic_net_params or not all(0 <= value <= 1 for value in self.elastic_net_params):
            problems.append("elastic_net_params must hold numbers from 0 to 1")
        if not self.half_lives_days or not all(value >= 0 for value in self.half_lives_days):
            problems.append("half_lives_days must hold numbers of 0 or more")
        if min(self.seasons, self.max_block_size_mb, self.champion_tolerance) < 0:
            problems.append("seasons, max_block_size_mb and champion_tolerance must be 0 or more")
        if problems:
            raise ValueError("; ".join(problems))


class Choice(NamedTuple):
    """One point of the grid; see PropensityParameters."""

    reg_param: float
    elastic_net_param: float
    half_life_days: float


class FittedPropensity(NamedTuple):
    """The fitted pipeline (input: as_of, user_id and the feature columns), what was chosen, and why.

    `log_losses` holds the mean log loss of each point of the grid over the folds; empty when nothing was judged.
    """

    model: PipelineModel
    choice: Choice
    log_losses: dict[Choice, float]


def fit_propensity(
    train: DataFrame, columns: list[str], *, cuts: list[datetime], cut: datetime, params: PropensityParameters
) -> FittedPropensity:
    """The model for shoppers as of `cut`, learned from `train` at the rising `cuts` before it.

    `train` has as_of (one of `cuts`), user_id, label (0 or 1) and `columns` (numbers, never null; logarithms of
    amounts and times serve best, as all is linear from there). Its settings are the point of the grid with the lowest
    mean log loss at later cuts when fitted at earlier ones; the first point when there are too few cuts to judge.
    Runs Spark jobs; same input, same model up to rounding. Raises DataTooSmallError below `min_positives` or when one
    label is missing.
    """
    positives, negatives = _label_counts(train)
    if positives < params.min_positives or not negatives:
        raise DataTooSmallError(
            f"{positives} of {positives + negatives} training rows bought within {params.horizon_days} days",
            expected=f"at least {params.min_positives} that did and 1 that did not",
        )
    grid = [
        Choice(*point)
        for point in itertools.product(params.reg_params, params.elastic_net_params, params.half_lives_days)
    ]
    losses = _judged(train, columns, grid, cuts=cuts, anchor=cut, params=params) if len(grid) > 1 else {}
    choice = min(grid, key=lambda point: losses[point]) if losses else grid[0]
    inputs = Pipeline(stages=input_stages(columns, anchor=cut, params=params)).fit(train)
    ready = _ready(inputs, train).persist()
    try:
        regression = _regression(ready, choice, newest=max(cuts), steps=params.max_iter, params=params)
    finally:
        ready.unpersist()
    return FittedPropensity(PipelineModel([*inputs.stages, regression]), choice, losses)


def scored(model: PipelineModel, features: DataFrame) -> DataFrame:
    """(as_of, user_id, purchase_probability 0..1) for every row of `features` (as_of, user_id, feature columns)."""
    probability = vector_to_array(F.col("probability"))[1]
    return model.transform(features).select("as_of", "user_id", probability.alias("purchase_probability"))


def _judged(
    train: DataFrame,
    columns: list[str],
    grid: list[Choice],
    *,
    cuts: list[datetime],
    anchor: datetime,
    params: PropensityParameters,
) -> dict[Choice, float]:
    """Mean log loss of every point of the grid over the folds; empty when no fold can be judged."""
    sums = dict.fromkeys(grid, 0.0)
    judged = 0
    for earlier, later in time_ordered_folds(cuts, folds=params.folds):
        past = train.where(F.col("as_of") <= F.lit(max(earlier)))
        positives, negatives = _label_counts(past)
        if not positives or not negatives:
            continue
        # Scaling, too, is learned from the past alone.
        inputs = Pipeline(stages=input_stages(columns, anchor=anchor, params=params)).fit(past)
        ready = _ready(inputs, past).persist()
        cases = _ready(inputs, train.where(F.col("as_of") == F.lit(later))).persist()
        try:
            for point in grid:
                regression = _regression(ready, point, newest=max(earlier), steps=params.search_max_iter, params=params)
                sums[point] += _log_loss(regression.transform(cases))
        finally:
            ready.unpersist()
            cases.unpersist()
        judged += 1
    return {point: total / judged for point, total in sums.items()} if judged else {}


def _regression(
    ready: DataFrame, point: Choice, *, newest: datetime, steps: int, params: PropensityParameters
) -> LogisticRegressionModel:
    """MLlib's logistic regression on `ready` (as_of, features, label), newer cuts weighing more."""
    regression = LogisticRegression(
        featuresCol=FEATURES,
        labelCol="label",
        regParam=point.reg_param,
        elasticNetParam=point.elastic_net_param,
        maxIter=steps,
        # The pipeline has scaled them.
        standardization=False,
        maxBlockSizeInMB=params.max_block_size_mb,
    )
    if not point.half_life_days:
        return regression.fit(ready)
    age_days = (F.unix_seconds(F.lit(newest)) - F.unix_seconds("as_of")) / _SECONDS_PER_DAY
    weighted = ready.withColumn("weight", F.pow(F.lit(0.5), age_days / point.half_life_days))
    return regression.setWeightCol("weight").fit(weighted)


def _ready(inputs: PipelineModel, rows: DataFrame) -> DataFrame:
    return inputs.transform(rows).select("as_of", FEATURES, "label")


def _log_loss(judged: DataFrame) -> float:
    return float(judged.agg(F.avg(_surprise())).head()[0])  # type: ignore[index]  # an aggregate has one row


def _surprise() -> Column:
    probability = vector_to_array(F.col("probability"))[F.col("label").cast("int")]
    return -F.log(F.greatest(F.lit(_LEAST_PROBABILITY), probability))


def _label_counts(rows: DataFrame) -> tuple[int, int]:
    counts = rows.agg(F.count_if(F.col("label") == 1), F.count_if(F.col("label") == 0)).head()
    assert counts is not None  # an aggregate without grouping has exactly one row
    return int(counts[0]), int(counts[1])
