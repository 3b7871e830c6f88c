"""The native engine: a whole training inside one Spark task, from Arrow batches to rows of factors.

The other executors of a cluster stay free for other work. The memory of the task is known before training: rows are
counted while they are read, and reading stops as soon as they cannot fit.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from freshet.models.factors.factorisation import factorised, training_bytes
from freshet.models.factors.parameters import AlsParameters
from freshet.models.factors.training_rows import RowReader

USER, ITEM, REFUSED = "user", "item", "refused"
"""Kinds of rows of `native_rows`. The id of a refusal holds the reason; there is then no other row."""

SCHEMA = "side string, id string, index int, factors array<float>"

_BATCH_VALUES = 4_000_000
"""Floats of an Arrow batch of factors: 16 MB."""


def native_rows(
    positive: DataFrame, params: AlsParameters, *, cg_steps: int, threads: int, memory_gb: float, with_users: bool
) -> DataFrame:
    """(side, id, index, factors) for rows (user_id, item_id, first_time, strength > 0); empty without rows.

    Each action computes it again, so persist it. Rows of shoppers are included only `with_users`.
    """

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        yield from factor_batches(
            batches, params, cg_steps=cg_steps, threads=threads, memory_gb=memory_gb, with_users=with_users
        )

    columns = positive.select(
        F.col("user_id").cast("string"),
        F.col("item_id").cast("string"),
        F.col("first_time").cast("timestamp"),
        F.col("strength").cast("float"),
    )
    # repartition and not coalesce, so that all cores still compute the steps before it.
    return columns.repartition(1).mapInArrow(run, SCHEMA)


def factor_batches(
    batches: Iterator[pa.RecordBatch], params: AlsParameters, *, cg_steps: int, threads: int, memory_gb: float,
    with_users: bool,
) -> Iterator[pa.RecordBatch]:  # fmt: skip
    """The work of the task: from batches (user_id, item_id, first_time, strength > 0) to batches of SCHEMA."""
    reader = RowReader()
    for _ in reader.read(batches):
        needed = training_bytes(
            pairs=reader.pairs, rows=len(reader.users) + len(reader.items), rank=params.rank, threads=threads
        )
        if needed > memory_gb * 1e9:
            yield _refusal(f"at least {needed / 1e9:.1f} GB after {reader.pairs:,} interactions")
            return
    if not reader.pairs:
        return
    rows = reader.rows()
    factors = factorised(rows.strengths, params, cg_steps=cg_steps, threads=threads)
    yield from _batches(ITEM, rows.items, factors.items)
    if with_users:
        yield from _batches(USER, rows.users, factors.users)


def _refusal(reason: str) -> pa.RecordBatch:
    return _batch(REFUSED, pa.array([reason], pa.string()), 0, np.empty((1, 0), dtype=np.float32))


def _batches(side: str, ids: pa.Array, vectors: NDArray[np.float32]) -> Iterator[pa.RecordBatch]:
    size = max(1, _BATCH_VALUES // vectors.shape[1])
    for start in range(0, len(ids), size):
        yield _batch(side, ids.slice(start, size), start, vectors[start : start + size])


def _batch(side: str, ids: pa.Array, start: int, vectors: NDArray[np.float32]) -> pa.RecordBatch:
    count, rank = vectors.shape
    offsets = pa.array(np.arange(count + 1, dtype=np.int32) * rank)
    columns = [
        pa.array([side] * count, pa.string()),
        ids,
        pa.array(np.arange(start, start + count, dtype=np.int32)),
        pa.ListArray.from_arrays(offsets, pa.array(vectors.ravel())),
    ]
    return pa.RecordBatch.from_arrays(columns, ["side", "id", "index", "factors"])
