"""Gowalla in the split of NGCF and LightGCN, as matrices and as rows, and how vectors are judged on it."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession
from scipy.sparse import csr_matrix

from freshet.models.als import FittedAls
from tests.benchmarks.tables.judged import Split, judged_users, lists_by, metrics
from tests.benchmarks.tables.spark_side import DATA

USERS, ITEMS, K = 29_858, 40_981, 20


class Gowalla(NamedTuple):
    """Pairs as 0/1 matrices [users, items]: train without the validation part, validation, test."""

    train: csr_matrix
    validation: csr_matrix
    test: csr_matrix

    @property
    def published_train(self) -> csr_matrix:
        """What published tables train on: train with the validation part."""
        return (self.train + self.validation).tocsr()


def gowalla_data() -> Gowalla:
    """The data set; ends with one line when it is not there."""
    folder = DATA / "gowalla_lightgcn"
    if not folder.is_dir():
        raise SystemExit(f"{folder} is not there: name the folder of the data sets in FRESHET_TEST_DATA")
    train, test = pq.read_table(folder / "train.parquet"), pq.read_table(folder / "test.parquet")
    return Gowalla(_matrix(train, "items"), _matrix(train, "valid_items"), _matrix(test, "items"))


def _matrix(table: pa.Table, column: str) -> csr_matrix:
    lists = table.column(column).combine_chunks()
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy()
    rows = np.repeat(table.column("user").to_numpy(), lengths)
    items = lists.flatten().to_numpy()
    return csr_matrix((np.ones(len(items), dtype=np.float32), (rows, items)), shape=(USERS, ITEMS))


def interactions(spark: SparkSession, pairs: csr_matrix) -> DataFrame:
    """(user_id, item_id, user, item, first_time, strength 1) of all pairs, kept in Spark's memory."""
    found = pairs.tocoo()
    table = pa.table(
        {
            "user_id": pc.cast(pa.array(found.row), pa.string()),
            "item_id": pc.cast(pa.array(found.col), pa.string()),
            "user": pa.array(found.row.astype(np.int32)),
            "item": pa.array(found.col.astype(np.int32)),
            "first_time": pa.array(np.zeros(found.nnz, dtype="datetime64[us]"), pa.timestamp("us", tz="UTC")),
            "strength": pa.array(found.data.astype(np.float32)),
        }
    )
    frame = spark.createDataFrame(table).repartition(2).persist()
    frame.count()
    return frame


def vectors(rows: pa.Table, count: int) -> NDArray[np.float32]:
    """[count, rank] of an Arrow table (number, factors); zeros for numbers that it lacks."""
    numbers = pc.cast(rows.column(0), pa.int64()).to_numpy()
    lists = rows.column(1).combine_chunks()
    flat = lists.flatten().to_numpy(zero_copy_only=False).reshape(len(numbers), -1)
    whole = np.zeros((count, flat.shape[1]), dtype=np.float32)
    whole[numbers] = flat
    return whole


def fitted_vectors(fitted: FittedAls, shape: tuple[int, int]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Vectors of users and items, by number, of a fit on `interactions` of so many users and items."""
    assert fitted.users is not None
    users = fitted.users.select("user_id", "factors").toArrow()
    return vectors(users, shape[0]), vectors(fitted.items.select(["item_id", "factors"]), shape[1])


def judged(users: NDArray[np.float32], items: NDArray[np.float32], split: Split) -> dict[str, NDArray[np.float64]]:
    """Metrics at 20 per judged user by full ranking of x'y without what is known, as the boards define them."""
    lists = lists_by(lambda rows: users[rows] @ items.T, judged_users(split), split, K)
    return metrics(lists, split)
