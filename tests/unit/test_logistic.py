"""Logistic regression on a frame of vectors: MLlib's own estimator is the oracle."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyspark.ml.classification import LogisticRegression, LogisticRegressionModel
from pyspark.ml.functions import array_to_vector
from pyspark.ml.linalg import Vectors
from pyspark.sql import DataFrame, SparkSession

from freshet.core.errors import DataTooSmallError, InputError
from freshet.models.propensity.logistic import LogisticParameters, fit_logistic

SCALES = np.array([1.0, 100.0, 0.01, 1.0])
"""Columns of very different units, the last one constant: what `standardization` is about."""


@pytest.fixture(scope="module")
def rows(spark: SparkSession) -> DataFrame:
    random = np.random.default_rng(1)
    values = random.standard_normal((600, 4))
    values[:, 3] = 0.0
    odds = values @ np.array([1.0, -0.5, 0.1, 0.0]) - 0.5
    table = {
        "values": list(values * SCALES + 3 * SCALES),
        "label": (random.random(600) < 1 / (1 + np.exp(-odds))).astype(float),
        "weight": random.random(600) + 0.2,
    }
    made = spark.createDataFrame(pa.table(table))
    return made.select(array_to_vector("values").alias("features"), "label", "weight").repartition(3).persist()


def fitted(rows: DataFrame, *, weight: str | None = None, **changes: float | bool) -> LogisticRegressionModel:
    known = {"reg_param": 0.0, "elastic_net_param": 0.0, "standardization": True, "max_iter": 100, "tol": 1e-10}
    params = LogisticParameters(**{**known, **changes})  # type: ignore[arg-type]
    return fit_logistic(rows, features="features", label="label", weight=weight, params=params)


@pytest.mark.parametrize("weight", [None, "weight"])
@pytest.mark.parametrize("standardization", [True, False])
@pytest.mark.parametrize(("reg_param", "elastic_net_param"), [(0.0, 0.0), (0.1, 0.0), (0.05, 0.6), (0.02, 1.0)])
def test_coefficients_are_mllibs(
    rows: DataFrame, reg_param: float, elastic_net_param: float, standardization: bool, weight: str | None
) -> None:
    oracle = LogisticRegression(
        regParam=reg_param, elasticNetParam=elastic_net_param, standardization=standardization, tol=1e-12, maxIter=500
    )
    known = (oracle.setWeightCol(weight) if weight else oracle).fit(rows)
    ours = fitted(
        rows,
        weight=weight,
        reg_param=reg_param,
        elastic_net_param=elastic_net_param,
        standardization=standardization,
    )
    # In deviations, so that a digit of one column is worth as much as one of another.
    assert ours.coefficients.toArray() * SCALES == pytest.approx(known.coefficients.toArray() * SCALES, abs=2e-4)
    assert ours.intercept == pytest.approx(known.intercept, abs=1e-3)


def test_the_model_is_saved_loaded_and_scored_as_mllibs(rows: DataFrame, tmp_path: Path) -> None:
    ours = fitted(rows, reg_param=0.01)
    ours.save(str(tmp_path / "model"))
    again = LogisticRegressionModel.load(str(tmp_path / "model"))
    scores = [model.transform(rows).agg({"prediction": "sum"}).head()[0] for model in (ours, again)]  # type: ignore[index]
    assert scores[0] == scores[1] > 0
    assert again.coefficients == ours.coefficients
    assert again.evaluate(rows).accuracy > 0.6


def test_sparse_vectors_are_read_like_dense_ones(spark: SparkSession) -> None:
    pairs = [(Vectors.sparse(2, [n % 2], [1.0 + n % 3]), float(n % 5 < 2)) for n in range(60)]
    sparse = spark.createDataFrame(pairs, ["features", "label"])
    dense = spark.createDataFrame([(Vectors.dense(v.toArray()), y) for v, y in pairs], ["features", "label"])
    one, other = fitted(sparse, reg_param=0.1), fitted(dense, reg_param=0.1)
    assert one.coefficients.toArray() == pytest.approx(other.coefficients.toArray(), abs=1e-7)


def test_rows_that_cannot_be_learned_from_are_reported(spark: SparkSession, rows: DataFrame) -> None:
    with pytest.raises(DataTooSmallError, match="no rows"):
        fitted(rows.where("label > 1"))
    broken = spark.createDataFrame([(Vectors.dense(1.0, float("nan")), 1.0)], ["features", "label"])
    with pytest.raises(InputError, match="column features, places 1: values are NaN"):
        fitted(broken)
