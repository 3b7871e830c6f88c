"""Quality of a clustering."""

from pyspark.ml.evaluation import ClusteringEvaluator
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from freshet.core.errors import DataTooSmallError


def silhouette(clustered: DataFrame, *, features: str, cluster: str) -> float:
    """Mean silhouette (-1 to 1, higher is better) of the clusters in `cluster` over the vectors in `features`.

    Silhouette of Rousseeuw (1987) with squared Euclidean distances, as MLlib computes it without pairs. A cluster of
    one point counts as 0 there. Runs Spark jobs. Raises DataTooSmallError for fewer than two clusters, where it is not
    defined.
    """
    found = clustered.select(F.countDistinct(cluster).alias("clusters")).first()
    if found is None or found["clusters"] < 2:
        raise DataTooSmallError("a silhouette needs two clusters", where=cluster)
    evaluator = ClusteringEvaluator(
        featuresCol=features, predictionCol=cluster, metricName="silhouette", distanceMeasure="squaredEuclidean"
    )
    # MLlib expects cluster numbers as doubles.
    return float(evaluator.evaluate(clustered.withColumn(cluster, F.col(cluster).cast("double"))))
