"""What all tables need of Spark: a session, the data folder, frames from sparse matrices."""

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from scipy.sparse import csr_matrix

from freshet.core.session import spark_session, task_cores

REPOSITORY = Path(__file__).parents[3]
DATA = Path(os.environ.get("FRESHET_TEST_DATA") or REPOSITORY.parent / "shared" / "data")
MEMORY_GB = 4.0


def bench_session() -> SparkSession:
    """Two local cores, as all figures are stated for."""
    options = {"spark.driver.memory": "4g", "spark.sql.shuffle.partitions": "2", "spark.default.parallelism": "2"}
    return spark_session("freshet-tables", jars=REPOSITORY / ".jars", master="local[2]", options=options)


def threads(spark: SparkSession) -> int:
    """BLAS threads of a task that runs alone."""
    return task_cores(spark)


def pairs_frame(spark: SparkSession, matrix: csr_matrix, item_ids: list[str]) -> DataFrame:
    """(user_id, item_id, strength) of a sparse matrix [users, items]."""
    coo = matrix.tocoo()
    ids = pa.array(item_ids, pa.string())
    table = pa.table(
        {
            "user_id": pa.array(coo.row.astype(np.int64)).cast(pa.string()),
            "item_id": ids.take(pa.array(coo.col.astype(np.int64))),
            "strength": pa.array(coo.data.astype(np.float64)),
        }
    )
    return spark.createDataFrame(table)
