"""KMeans of 500,000 x 64 dense rows, 50 clusters and 10 iterations, against MLlib with its defaults."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.ml.clustering import KMeans, KMeansModel

from freshet.models.segments.kmeans import KMeansParameters, fit_kmeans
from freshet.numeric.blocks import cut, vectors
from freshet.numeric.collective import Peers, over_partitions
from tests.benchmarks.mllib_pairs import COLUMNS, dense_rows, side_by_side

ROWS, QUICK_ROWS, PAIRS = 500_000, 20_000, 5
K, ITERATIONS = 50, 10
PARAMETERS = KMeansParameters(k=K, max_iter=ITERATIONS, seed=1, starts=2, sample_rows=8192, steps=10)


def kmeans(quick: bool, pairs: int = PAIRS) -> dict[str, Any]:
    """See mllib_pairs.side_by_side; objective_excess is the highest of our cost over MLlib's, less 1."""
    number = QUICK_ROWS if quick else ROWS
    with dense_rows(number) as rows:

        def cost(model: KMeansModel) -> float:
            centres = np.array(model.clusterCenters())

            def work(batches: Iterator[pa.RecordBatch], peers: Peers) -> dict[str, np.ndarray]:
                parts = [part for batch in batches for part in cut(vectors(batch.column(0)))]
                apart = [((p**2).sum(1)[:, None] - 2 * p @ centres.T + (centres**2).sum(1)).min(1).sum() for p in parts]
                return {"cost": peers.sum(np.array([float(sum(apart))]))}

            return float(over_partitions(rows.select("features"), work)["cost"][0])

        def ours() -> KMeansModel:
            return fit_kmeans(rows, features="features", prediction="prediction", params=PARAMETERS)

        found = side_by_side(ours, lambda: KMeans(k=K, maxIter=ITERATIONS, seed=1).fit(rows), cost, pairs=pairs)
    return {**found, "rows": number, "columns": COLUMNS, "k": K, "iterations": ITERATIONS}
