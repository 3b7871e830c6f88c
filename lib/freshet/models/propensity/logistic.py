"""Binary logistic regression on a column of vectors, read once: the same model as MLlib's, fitted in less time."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from pyspark.ml.classification import LogisticRegressionModel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from freshet.core.errors import DataTooSmallError
from freshet.models.mllib import logistic_model, refuse_unknown
from freshet.models.propensity.gathered import GatheredRows
from freshet.models.propensity.newton import Cases, Penalty, logistic_fit
from freshet.numeric.blocks import Floats, Moments, cut, vectors
from freshet.numeric.collective import Peers, Work, over_partitions


@dataclass(frozen=True)
class LogisticParameters:
    """Parameters with the names and meanings of MLlib's LogisticRegression.

    `reg_param`: strength of the penalty. `elastic_net_param`: share of the absolute (lasso) part in it.
    `standardization`: the penalty applies to the coefficients of standardized columns, else to those of the original
    columns. `max_iter`: maximal number of steps. `tol`: a step that is expected to lower the objective by a smaller
    share is the last one.
    """

    reg_param: float
    elastic_net_param: float
    standardization: bool
    max_iter: int
    tol: float


def fit_logistic(
    rows: DataFrame, *, features: str, label: str, weight: str | None, params: LogisticParameters
) -> LogisticRegressionModel:
    """The model of `rows`: vectors `features` of one length, `label` 0 or 1, `weight` (None: all weigh the same).

    Coefficients agree with MLlib's to about five digits of a deviation. Every partition must fit the memory of a task,
    and the square of the number of columns too. Raises DataTooSmallError without rows, InputError for NaN or infinite
    values. Runs Spark jobs.
    """
    weights = F.lit(1.0) if weight is None else F.col(weight).cast("double")
    chosen = rows.select(F.col(features), F.col(label).cast("double").alias("_label"), weights.alias("_weight"))
    found = over_partitions(chosen, _fitted(params))
    if not found or not len(found["mean"]):
        raise DataTooSmallError("no rows to fit a logistic regression to")
    refuse_unknown(found["mean"], where=features)
    return logistic_model(rows, found["coefficients"], float(found["intercept"]), features=features)


def in_units(coefficients: Floats, intercept: float, known: Moments) -> tuple[Floats, float]:
    """Coefficients and intercept for the original columns, from those for standardized columns."""
    slopes = coefficients / known.scale
    return slopes, intercept - float(slopes @ known.mean)


def _fitted(params: LogisticParameters) -> Work:
    def work(batches: Iterator[pa.RecordBatch], peers: Peers) -> dict[str, Floats]:
        gathered, kept = GatheredRows(), []
        for rows, labels, weights in _pieces(batches):
            gathered.add(rows, weights)
            # Copied: a view would keep the memory of its whole batch alive.
            kept.append((labels.copy(), weights.copy()))
        known = gathered.moments(peers)
        if not len(known.mean) or not np.isfinite(known.mean).all():
            return {"mean": known.mean, "coefficients": known.mean, "intercept": np.zeros(())}
        cases = [Cases(rows, *rest) for rows, rest in zip(gathered.standardized(known), kept, strict=True)]
        fit = logistic_fit(cases, _penalty(params, known), peers, max_iter=params.max_iter, tol=params.tol)
        slopes, intercept = in_units(fit.coefficients, fit.intercept, known)
        return {"mean": known.mean, "coefficients": slopes, "intercept": np.array(intercept)}

    return work


def _pieces(batches: Iterator[pa.RecordBatch]) -> Iterator[tuple[Floats, Floats, Floats]]:
    """(rows, labels, weights) of every batch, in pieces of BLOCK_ROWS."""
    for batch in batches:
        features, *numbers = batch.columns
        yield from zip(cut(vectors(features)), *[cut(values.to_numpy()) for values in numbers], strict=True)


def _penalty(params: LogisticParameters, known: Moments) -> Penalty:
    """The penalty on standardized columns: an original coefficient is the standardized one divided by the scale."""
    scale = np.ones_like(known.scale) if params.standardization else known.scale
    lasso = params.reg_param * params.elastic_net_param
    return Penalty(l2=(params.reg_param - lasso) / scale**2, l1=lasso / scale)
