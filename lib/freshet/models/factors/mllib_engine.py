"""The mllib engine: Spark's own ALS, for data of any size, and the reference for tests of the native engine."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.ml.recommendation import ALS, ALSModel
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from freshet.core.errors import DataTooSmallError, SettingsError
from freshet.models.factors.factorisation import principal_axes
from freshet.models.factors.parameters import AlsParameters


class MllibFactors(NamedTuple):
    """(item_id, item_index, factors) on the driver, (user_id, user_index, factors) as a frame."""

    items: pa.Table
    users: DataFrame


def indexed(interactions: DataFrame, *, column: str, index: str) -> DataFrame:
    """(column, index int from 0): ids by first appearance (`first_time`), ties by id.

    One row per id, all in one partition of the window: the list of ids, not the data.
    """
    first = interactions.groupBy(column).agg(F.min("first_time").alias("first_time"))
    order = Window.orderBy("first_time", column)
    return first.select(column, (F.row_number().over(order) - 1).cast("int").alias(index))


def mllib_factors(positive: DataFrame, params: AlsParameters) -> MllibFactors:
    """Factors of rows (user_id, item_id, first_time, strength > 0), rotated into the principal axes of the items.

    Raises SettingsError for a reg_power or start that MLlib does not support, DataTooSmallError without rows.
    """
    if params.reg_power != 1.0:
        raise SettingsError(
            "MLlib's regularisation grows with the number of observations itself",
            where="search.reg_power",
            expected="1.0 with engine mllib",
            found=str(params.reg_power),
            do='Set search.reg_power = 1.0, or factorisation.engine = "native"',
        )
    if params.start != 1.0:
        raise SettingsError("MLlib draws starting vectors of length 1", where="start", found=str(params.start))
    users = indexed(positive, column="user_id", index="user_index")
    items = indexed(positive, column="item_id", index="item_index")
    numbered = (
        positive.join(F.broadcast(items), "item_id", how="inner")
        .join(users, "user_id", how="inner")
        .select("user_index", "item_index", F.col("strength").cast("float").alias("strength"))
        .persist()
    )
    try:
        if numbered.isEmpty():
            raise DataTooSmallError("no interaction has a positive strength, so there is nothing to learn tastes from")
        model = _trainer(params).fit(numbered)
    finally:
        numbered.unpersist()
    return _in_axes(model, users, items)


def _trainer(params: AlsParameters) -> ALS:
    return ALS(
        userCol="user_index",
        itemCol="item_index",
        ratingCol="strength",
        implicitPrefs=True,
        rank=params.rank,
        maxIter=params.max_iter,
        regParam=params.reg_param,
        alpha=params.alpha,
        seed=params.seed,
        # Two blocks: each further block means another copy of the factors, and two cores do not need it.
        numUserBlocks=2,
        numItemBlocks=2,
    )


def _in_axes(model: ALSModel, users: DataFrame, items: DataFrame) -> MllibFactors:
    """Rotates both sides alike, which changes no score and makes fold-in as quick as after the native engine."""
    names = ["item_id", "item_index", "factors"]
    table = _by_id(model.itemFactors, items, "item_index").select(names).toArrow().combine_chunks()
    vectors = _vectors(table.column("factors"))
    with ThreadPoolExecutor(1) as alone:
        _, axes = principal_axes(vectors, workers=alone)
    turned = table.set_column(2, "factors", _lists(vectors @ axes))

    def turn(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            part = _vectors(batch.column("factors")) @ axes if batch.num_rows else None
            yield batch if part is None else batch.set_column(2, "factors", _lists(part))

    by_id = _by_id(model.userFactors, users, "user_index").select("user_id", "user_index", "factors")
    schema = "user_id string, user_index int, factors array<float>"
    return MllibFactors(turned, by_id.mapInArrow(turn, schema))


def _vectors(lists: pa.ListArray | pa.ChunkedArray) -> NDArray[np.float32]:
    whole = lists.combine_chunks() if isinstance(lists, pa.ChunkedArray) else lists
    return whole.flatten().to_numpy(zero_copy_only=False).reshape(len(whole), -1)


def _lists(vectors: NDArray[np.float32]) -> pa.ListArray:
    offsets = np.arange(len(vectors) + 1, dtype=np.int32) * vectors.shape[1]
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(vectors.ravel()))


def _by_id(factors: DataFrame, ids: DataFrame, index: str) -> DataFrame:
    return factors.select(F.col("id").alias(index), F.col("features").alias("factors")).join(ids, index, how="inner")
