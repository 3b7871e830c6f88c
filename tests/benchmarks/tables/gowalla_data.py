"""Gowalla in the split of NGCF and LightGCN, as matrices and as rows, and how vectors are judged on it."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession
from scipy.sparse import csr_matrix

from freshet.models.factors.als import FittedAls
from tests.benchmarks.tables.judged import Split, judged_users, lists_by, metrics
from tests.benchmarks.tables.spark_side import DATA

USERS, ITEMS, K = 29_858, 40_981, 20
LEAST = 5
"""Items of a user of whom one is in the validation part, and so of all longer lists one in five."""


class Gowalla(NamedTuple):
    """Pairs as 0/1 matrices [users, items]: published_train and test as published tables have them; train and
    validation, cut from published_train.

    The file's lists are in the order of their source: its numbers of items count up through them. Test items lie rather
    at their end: of a test item's known companions the most similar is in the last tenth of its list in 23 of 100
    cases. Of the part valid_items of LightGCN++, drawn at random, it is 10, and what is chosen by it is another model.
    So the validation part is the last fifth of each list, as the test is a fifth of all; items of valid_items have no
    place in a list and are left out of both.
    """

    train: csr_matrix
    validation: csr_matrix
    published_train: csr_matrix
    test: csr_matrix


def gowalla_data() -> Gowalla:
    """The data set; ends with one line when it is not there."""
    folder = DATA / "gowalla_lightgcn"
    if not folder.is_dir():
        raise SystemExit(f"{folder} is not there: name the folder of the data sets in FRESHET_TEST_DATA")
    train, test = pq.read_table(folder / "train.parquet"), pq.read_table(folder / "test.parquet")
    users, items = _pairs(train, "items")
    more_users, more_items = _pairs(train, "valid_items")
    late = is_late(users)
    return Gowalla(
        train=_matrix(users[~late], items[~late]),
        validation=_matrix(users[late], items[late]),
        published_train=_matrix(np.append(users, more_users), np.append(items, more_items)),
        test=_matrix(*_pairs(test, "items")),
    )


def is_late(users: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which pairs, of rising users, are of the last fifth of a user's; of fewer than five none is."""
    counts = np.bincount(users, minlength=USERS)
    place = np.arange(len(users)) - (np.cumsum(counts) - counts)[users]
    return (counts[users] >= LEAST) & (place >= counts[users] - np.ceil(counts[users] / LEAST))


def _pairs(table: pa.Table, column: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Users and items, in the order of the file."""
    lists = table.column(column).combine_chunks()
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy()
    return np.repeat(table.column("user").to_numpy(), lengths), lists.flatten().to_numpy()


def _matrix(users: NDArray[np.int64], items: NDArray[np.int64]) -> csr_matrix:
    return csr_matrix((np.ones(len(items), dtype=np.float32), (users, items)), shape=(USERS, ITEMS))


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
