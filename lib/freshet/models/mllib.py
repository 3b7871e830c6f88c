"""MLlib model objects built from parameters that were learned elsewhere; they save, load and score like MLlib's own."""

import uuid
from typing import Any

import numpy as np
from pyspark.ml.classification import LogisticRegressionModel
from pyspark.ml.clustering import KMeansModel
from pyspark.ml.common import _py2java
from pyspark.ml.linalg import DenseVector
from pyspark.sql import DataFrame

from freshet.core.errors import InputError
from freshet.numeric.blocks import Floats


def logistic_model(
    frame: DataFrame, coefficients: Floats, intercept: float, *, features: str
) -> LogisticRegressionModel:
    """A binary model of vector column `features`, in the session of `frame`; coefficients in the vector's units."""
    context, java = frame.sparkSession.sparkContext, _packages(frame)
    weights = _py2java(context, DenseVector(coefficients))
    made = java.ml.classification.LogisticRegressionModel(_uid("LogisticRegression"), weights, float(intercept))
    return LogisticRegressionModel(made).setFeaturesCol(features)


def kmeans_model(
    frame: DataFrame, centres: Floats, *, features: str, prediction: str, cost: float, passes: int
) -> KMeansModel:
    """A model of vector column `features` with `centres` (k x columns), in the session of `frame`.

    A row's cluster is written to column `prediction`. `cost` and `passes` are kept with the model as its training cost
    and number of iterations.
    """
    context, java = frame.sparkSession.sparkContext, _packages(frame)
    assert context._gateway is not None  # a running session has one
    vectors = context._gateway.new_array(java.mllib.linalg.Vector, len(centres))
    for number, centre in enumerate(centres):
        vectors[number] = java.mllib.linalg.Vectors.fromML(_py2java(context, DenseVector(centre)))
    inner = java.mllib.clustering.KMeansModel(vectors, "euclidean", float(cost), int(passes))
    made = KMeansModel(java.ml.clustering.KMeansModel(_uid("KMeans"), inner))
    return made.setFeaturesCol(features).setPredictionCol(prediction)


def refuse_unknown(figures: Floats, *, where: str) -> None:
    """Raises InputError when a column's figure is not a finite number."""
    unknown = np.flatnonzero(~np.isfinite(figures))
    if len(unknown):
        places = ", ".join(map(str, unknown[:10]))
        raise InputError("values are NaN or infinite", where=f"column {where}, places {places}")


def standardized_sql(column: str, mean: float, scale: float) -> str:
    """SQL of `column` minus `mean`, in units of `scale`, with all digits kept."""
    return f"((`{column}` - ({mean!r}D)) / {scale!r}D)"


def _packages(frame: DataFrame) -> Any:
    """org.apache.spark of the JVM that the frame lives in."""
    jvm = frame.sparkSession.sparkContext._jvm
    assert jvm is not None  # a running session has one
    return jvm.org.apache.spark


def _uid(name: str) -> str:
    """A uid in MLlib's form, unique within a pipeline."""
    return f"{name}_{uuid.uuid4().hex[-12:]}"
