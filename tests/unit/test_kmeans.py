"""KMeans on a frame of vectors: MLlib's own estimator is the oracle of the cost."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyspark.ml.clustering import KMeans, KMeansModel
from pyspark.ml.functions import array_to_vector
from pyspark.ml.linalg import Vectors
from pyspark.sql import DataFrame, SparkSession

from freshet.core.errors import DataTooSmallError, InputError
from freshet.models.segments.kmeans import KMeansParameters, fit_kmeans


def fitted(rows: DataFrame, k: int) -> KMeansModel:
    params = KMeansParameters(k=k, max_iter=30, seed=1, starts=4, sample_rows=400, steps=10)
    return fit_kmeans(rows, features="features", prediction="cluster", params=params)


@pytest.fixture(scope="module")
def rows(spark: SparkSession) -> DataFrame:
    random = np.random.default_rng(1)
    middles = random.normal(50, 5, (6, 4))
    values = middles[random.integers(0, 6, 1200)] + random.normal(0, 1.5, (1200, 4))
    made = spark.createDataFrame(pa.table({"values": list(values)}))
    return made.select(array_to_vector("values").alias("features")).repartition(3).persist()


def cost(model: KMeansModel, rows: DataFrame) -> float:
    """The sum of squared distances to the nearest centre, in plain loops."""
    centres = model.clusterCenters()
    vectors = [row[0].toArray() for row in rows.select("features").collect()]
    return float(sum(min(((vector - centre) ** 2).sum() for centre in centres) for vector in vectors))


def test_the_cost_is_no_higher_than_mllibs(rows: DataFrame) -> None:
    oracle = min(cost(KMeans(k=6, maxIter=30, seed=seed).fit(rows), rows) for seed in (1, 2))
    ours = fitted(rows, 6)
    assert cost(ours, rows) <= oracle * 1.001
    assert ours._java_obj.parentModel().trainingCost() == pytest.approx(cost(ours, rows), rel=1e-3)


def test_the_model_is_saved_loaded_and_predicts_as_mllibs(rows: DataFrame, tmp_path: Path) -> None:
    ours = fitted(rows, 6)
    ours.save(str(tmp_path / "model"))
    again = KMeansModel.load(str(tmp_path / "model"))
    first = rows.head(50)
    for row in first:
        apart = [((row[0].toArray() - centre) ** 2).sum() for centre in ours.clusterCenters()]
        assert again.predict(row[0]) == int(np.argmin(apart))
    assert again.transform(rows).select("cluster").distinct().count() == 6


def test_fewer_different_rows_than_centres_make_fewer_centres(spark: SparkSession) -> None:
    same = spark.createDataFrame([(Vectors.dense(float(n % 2), 7.0),) for n in range(20)], ["features"])
    assert sorted(centre.tolist() for centre in fitted(same, 5).clusterCenters()) == [[0.0, 7.0], [1.0, 7.0]]


def test_rows_that_cannot_be_parted_are_reported(spark: SparkSession, rows: DataFrame) -> None:
    with pytest.raises(DataTooSmallError, match="no rows"):
        fitted(rows.limit(0), 2)
    broken = spark.createDataFrame([(Vectors.dense(float("inf"), 1.0),)], ["features"])
    with pytest.raises(InputError, match="places 0: values are NaN or infinite"):
        fitted(broken, 2)
