"""Probability that a shopper buys within the next days: logistic regression on features as of rolling cut dates."""

import itertools
from datetime import datetime
from functools import partial
from typing import Annotated, NamedTuple

import numpy as np
from pydantic import Field
from pyspark.ml import PipelineModel
from pyspark.ml.functions import vector_to_array
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from freshet.core.errors import DataTooSmallError
from freshet.core.parameters import parameters
from freshet.models.mllib import logistic_model, refuse_unknown
from freshet.models.propensity.cuts import time_ordered_folds
from freshet.models.propensity.fit import Choice, Search, micros, searched_and_fitted
from freshet.models.propensity.inputs import FEATURES, Inputs
from freshet.numeric.blocks import Moments
from freshet.numeric.collective import over_partitions

__all__ = ["Choice", "FittedPropensity", "PropensityParameters", "fit_propensity", "scored"]


@parameters
class PropensityParameters:
    """The target, the amount of training data, and the grid that is searched; `reg_params`, `elastic_net_params` and
    `max_iter` are those of MLlib's LogisticRegression."""

    horizon_days: int = Field(
        ge=1, description="days ahead that the probability covers; training cuts are this far apart, or slightly more"
    )
    max_cuts: int = Field(
        ge=1, description="newest cut dates to train on; 17 months contain every calendar month once and some twice"
    )
    min_positives: int = Field(ge=1, description="fewest buyers required in all training rows; about 5 per feature")
    folds: int = Field(
        ge=1, description="newest training cuts on which the settings below are validated, each trained on earlier cuts"
    )
    reg_params: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        min_length=1, description="grid: strength of the penalty, as in MLlib"
    )
    elastic_net_params: tuple[Annotated[float, Field(ge=0, le=1)], ...] = Field(
        min_length=1, description="grid: share of L1 (lasso) in the penalty, 0 to 1"
    )
    half_lives_days: tuple[Annotated[float, Field(ge=0)], ...] = Field(
        min_length=1,
        description="grid: half-life of a training row's weight by the age of its cut; 0: all weigh the same",
    )
    crossed_columns: tuple[str, ...] = Field(description="columns whose squares and products are features too")
    seasons: int = Field(ge=0, description="parts of the year that each have an effect; 0: none")
    max_iter: int = Field(ge=1, description="maximum iterations of the optimiser; Newton takes about six")
    search_max_iter: int = Field(ge=1, description="the same while the grid is searched")
    champion_tolerance: float = Field(
        ge=0, description="log loss by which a challenger may be worse than the champion on the same shoppers"
    )


class FittedPropensity(NamedTuple):
    """The fitted pipeline (input: as_of, user_id and the feature columns), the chosen settings and their losses.

    `log_losses` holds the mean log loss of each point of the grid over the folds; empty when nothing was validated.
    `base_rate`: share of training rows that bought.
    """

    model: PipelineModel
    choice: Choice
    log_losses: dict[Choice, float]
    base_rate: float


def fit_propensity(
    train: DataFrame, columns: list[str], *, cuts: list[datetime], cut: datetime, params: PropensityParameters
) -> FittedPropensity:
    """The model for shoppers as of `cut`, trained on `train` at the rising `cuts` before it.

    `train` has as_of (one of `cuts`), user_id, label (0 or 1) and `columns` (numbers, never null; logarithms of
    amounts and times work best, as the model is linear in them). Its settings are the point of the grid with the
    lowest mean log loss at later cuts when fitted at earlier ones; the first point if there are too few cuts.
    The rows are read once: the tasks that hold them fit every point of the grid at every fold. The same input gives
    the same model up to rounding. Raises DataTooSmallError below `min_positives` or if one label is missing.
    """
    grid = tuple(
        Choice(*point)
        for point in itertools.product(params.reg_params, params.elastic_net_params, params.half_lives_days)
    )
    folds = time_ordered_folds(cuts, folds=params.folds) if len(grid) > 1 else []
    crossed = tuple(name for name in params.crossed_columns if name in columns)
    search = Search(
        inputs=Inputs(tuple(columns), crossed, params.seasons, anchor=cut),
        grid=grid,
        folds=tuple((micros(max(earlier)), micros(later)) for earlier, later in folds),
        max_iter=params.max_iter,
        search_max_iter=params.search_max_iter,
        least_positives=params.min_positives,
    )
    numbers = [F.col(name).cast("double") for name in ("label", *columns)]
    found = over_partitions(train.select("as_of", *numbers), partial(searched_and_fitted, search))
    positives, rows = (int(number) for number in found.get("counts", (0, 0)))
    if "coefficients" not in found:
        raise DataTooSmallError(
            f"{positives} of {rows} training rows bought within {params.horizon_days} days",
            expected=f"at least {params.min_positives} that did and 1 that did not",
        )
    refuse_unknown(found["coefficients"], where="features")
    mean, deviation = found["crossed"]
    known = Moments(mean, deviation, float(rows))
    intercept = float(found["intercept"])
    regression = logistic_model(train, found["coefficients"], intercept, features=FEATURES)
    model = PipelineModel([*search.inputs.stages(known), regression])
    losses = found["losses"][~np.isnan(found["losses"]).any(axis=1)]
    means = dict(zip(grid, losses.mean(axis=0).tolist(), strict=True)) if len(losses) else {}
    return FittedPropensity(model, grid[int(found["choice"])], means, positives / rows)


def scored(model: PipelineModel, features: DataFrame, *kept: str) -> DataFrame:
    """(as_of, user_id, purchase_probability 0..1, kept columns) for every row of `features`.

    `features` has as_of, user_id, the feature columns and the columns to keep.
    """
    probability = vector_to_array(F.col("probability"))[1]
    return model.transform(features).select("as_of", "user_id", probability.alias("purchase_probability"), *kept)
