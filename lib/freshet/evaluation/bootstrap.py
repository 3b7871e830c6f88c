"""Means over shoppers with bootstrap intervals, distributed and repeatable.

Poisson bootstrap (Chamandy et al., "Estimating uncertainty for massive data streams", 2012): in every resample each
shopper has a weight drawn from Poisson(1), so that no resample needs a total count. The weights are a function of
shopper, resample and seed alone: they do not depend on how rows lie in partitions, and metrics or models of one
shopper share them, which is what makes differences comparable.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, DoubleType, LongType, StructField, StructType

from freshet.errors import InputError

_STEP = np.uint64(0x9E3779B97F4A7C15)
_MIX = ((np.uint64(30), np.uint64(0xBF58476D1CE4E5B9)), (np.uint64(27), np.uint64(0x94D049BB133111EB)))
_DRAWS_PER_HASH = 4

_GRID = 2.0**32
"""Values are rounded to multiples of 1 / _GRID: sums of up to two million shoppers' values between -1 and 1 are then
exact in double precision, whatever the order of the addition. The rounding is far below any interval's width."""


def with_intervals(values: DataFrame, *, by: Sequence[str], samples: int, seed: int, level: float = 0.95) -> DataFrame:
    """(*by, value, low, high, users): per group the mean of `value` and its percentile interval at `level`.

    `values` is (*by, user_id, value double), at most one row per group and shopper. Null values are left out; they
    are not counted in `users` (long). The ends are quantiles (linear interpolation) of the means of `samples`
    resamples; null when every resample is empty, as can be with one shopper. Empty input gives an empty frame.
    Raises InputError for less than one sample.
    """
    if samples < 1:
        raise InputError("a bootstrap needs at least one sample", where="evaluation", found=f"samples {samples}")
    keys = [values.schema[name] for name in by]
    arrays = [StructField("sums", ArrayType(DoubleType())), StructField("weights", ArrayType(DoubleType()))]
    partial = StructType([*keys, StructField("users", LongType()), StructField("total", DoubleType()), *arrays])
    ends = [StructField("low", DoubleType()), StructField("high", DoubleType())]
    final = StructType([*keys, StructField("value", DoubleType()), *ends, StructField("users", LongType())])

    def partial_sums(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            if batch.num_rows:
                yield _batch_sums(batch, by, samples)

    def group_interval(table: pa.Table) -> pa.Table:
        return _interval(table, by, level)

    hashed = values.where(F.col("value").isNotNull()).select(
        *by, F.xxhash64("user_id", F.lit(seed)).alias("user_hash"), F.col("value").cast("double").alias("value")
    )
    return hashed.mapInArrow(partial_sums, partial).groupBy(*by).applyInArrow(group_interval, final)


def poisson_weights(user_hashes: NDArray[np.uint64], samples: int) -> NDArray[np.uint8]:
    """[shoppers, samples] draws from Poisson(1), the same for equal hashes.

    Each shopper's draws are 16-bit pieces of the SplitMix64 stream (Steele, Lea and Flood 2014) that begins at the
    hash, looked up in the distribution's quantiles; probabilities are thus right to 2^-16.
    """
    hashes_needed = -(-samples // _DRAWS_PER_HASH)
    state = user_hashes[:, None] + _STEP * np.arange(1, hashes_needed + 1, dtype=np.uint64)[None, :]
    for shift, factor in _MIX:
        state = (state ^ (state >> shift)) * factor
    state ^= state >> np.uint64(31)
    return _POISSON_QUANTILES[state.view(np.uint16)][:, :samples]


def _poisson_quantiles() -> NDArray[np.uint8]:
    """The Poisson(1) quantile of the middle of each of 65,536 equal slices of probability."""
    cumulated = np.cumsum([math.exp(-1.0) / math.factorial(count) for count in range(16)])
    slices = (np.arange(65_536) + 0.5) / 65_536
    return np.searchsorted(cumulated, slices).astype(np.uint8)


_POISSON_QUANTILES = _poisson_quantiles()


def _batch_sums(batch: pa.RecordBatch, by: Sequence[str], samples: int) -> pa.RecordBatch:
    """Per group of one Arrow batch: shoppers, total, and for each resample sum of weight * value and of weights."""
    hashes = batch.column("user_hash").to_numpy().view(np.uint64)
    values = np.round(batch.column("value").to_numpy() * _GRID) / _GRID
    shoppers, shopper = np.unique(hashes, return_inverse=True)
    weights = poisson_weights(shoppers, samples).astype(np.float64)
    first_rows, group = _groups(batch, by)
    value_of = np.zeros((len(first_rows), len(shoppers)))
    known = np.zeros_like(value_of)
    np.add.at(value_of, (group, shopper), values)
    np.add.at(known, (group, shopper), 1.0)
    columns = [batch.column(name).take(pa.array(first_rows)) for name in by]
    columns += [pa.array(known.sum(axis=1).astype(np.int64)), pa.array(value_of.sum(axis=1))]
    columns += [_as_lists(value_of @ weights), _as_lists(known @ weights)]
    return pa.RecordBatch.from_arrays(columns, [*by, "users", "total", "sums", "weights"])


def _groups(batch: pa.RecordBatch, by: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The first row of each group of equal keys, and each row's group."""
    codes = np.zeros(batch.num_rows, dtype=np.int64)
    for name in by:
        encoded = batch.column(name).dictionary_encode()
        codes = codes * len(encoded.dictionary) + encoded.indices.to_numpy(zero_copy_only=False)
    _, first_rows, group = np.unique(codes, return_index=True, return_inverse=True)
    return first_rows, group


def _as_lists(rows: NDArray[np.float64]) -> pa.ListArray:
    return pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), rows.shape[1]).cast(pa.list_(pa.float64()))


def _interval(table: pa.Table, by: Sequence[str], level: float) -> pa.Table:
    """The one row of a group from its partial sums."""
    sums = _added(table.column("sums"), table.num_rows)
    weights = _added(table.column("weights"), table.num_rows)
    users = int(np.sum(table.column("users").to_numpy()))
    means = sums[weights > 0] / weights[weights > 0]
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2]).tolist() if len(means) else (None, None)
    row = {name: [table.column(name)[0].as_py()] for name in by}
    row |= {"value": [float(np.sum(table.column("total").to_numpy())) / users], "low": [low], "high": [high]}
    types = {"value": pa.float64(), "low": pa.float64(), "high": pa.float64(), "users": pa.int64()}
    schema = pa.schema([(name, types.get(name) or table.schema.field(name).type) for name in [*row, "users"]])
    return pa.table({**row, "users": [users]}, schema=schema)


def _added(lists: pa.ChunkedArray, rows: int) -> NDArray[np.float64]:
    flat = np.concatenate([chunk.flatten().to_numpy() for chunk in lists.chunks])
    return flat.reshape(rows, -1).sum(axis=0)
