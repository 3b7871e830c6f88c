"""Weights of the item-to-item models as lists, and their way from the task that computes them to the driver.

A weight says how much an item of the shopper's history (the source item) raises or lowers the score of another item
(the scored item). The `count` weights with the largest absolute value are kept for each scored item.
"""

import json
from collections.abc import Callable, Iterator
from datetime import datetime

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from freshet.core import errors
from freshet.core.errors import FreshetError, SetupError
from freshet.models.items.item_model import ITEMS
from freshet.numeric.coded_rows import CodedRows, coded_rows

SCHEMA = "item_id string, neighbours array<struct<item_id: string, weight: float>>, refused string"

Fit = Callable[[CodedRows], csr_matrix]
"""Computes weights [scored, source] from rows; raises errors of ours only."""


def check_memory(needed: int, memory_gb: float, *, items: int, setting: str) -> None:
    """Raises SetupError, naming `setting`, if a fit would need more bytes than allowed. Called before the fit."""
    if needed > memory_gb * 1e9:
        raise SetupError(
            "a model of items by items needs more memory than is allowed",
            where=setting,
            expected=f"at most {memory_gb:g} GB",
            found=f"{needed / 1e9:.1f} GB for {items:,} items",
            do="Allow more, or lower dense_items: fewer items are then solved exactly",
        )


def fitted_weights(rows: DataFrame, fit: Fit, *, threads: int, sources: str = ITEMS) -> pa.Table:
    """(item_id, neighbours array<item_id, weight>) of scored items, highest weight first; items without any are absent.

    `rows` is (user_id, item_id, value); `fit` runs in one task on `threads` BLAS threads. `sources`: what the columns
    of its result are, items or shoppers, who are named by their numbers. The table has a row per item and is on the
    driver. Errors of ours that `fit` raises are raised here unchanged.
    """

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        yield from weight_batches(batches, fit, threads=threads, sources=sources)

    # repartition and not coalesce, so that all cores still compute the steps before it.
    return without_refusal(rows.repartition(1).mapInArrow(run, SCHEMA).toArrow())


def weights_in_process(rows: pa.Table, fit: Fit, *, threads: int, sources: str = ITEMS) -> pa.Table:
    """`fitted_weights` of rows that are in the memory of this process, without Spark."""
    made = weight_batches(iter(rows.to_batches()), fit, threads=threads, sources=sources)
    return without_refusal(pa.Table.from_batches(made, _WEIGHTS))


def numbered_positions(sequences: DataFrame) -> DataFrame:
    """(user_id string, item_id string, position double): the rows of a sequence without a null or NaN; times become
    epoch seconds."""
    position = F.col("position").cast("double")
    usable = F.col("user_id").isNotNull() & F.col("item_id").isNotNull() & position.isNotNull() & ~F.isnan(position)
    return sequences.where(usable).select(
        F.col("user_id").cast("string"), F.col("item_id").cast("string"), position.alias("position")
    )


def newest_positions(sequences: DataFrame) -> DataFrame:
    """`numbered_positions`, of each shopper and item the highest."""
    return numbered_positions(sequences).groupBy("user_id", "item_id").agg(F.max("position").alias("position"))


def newest_positions_in_process(sequences: pa.Table) -> pa.Table:
    """`newest_positions` of rows that are in the memory of this process, without nulls."""
    return sequences.group_by(["user_id", "item_id"]).aggregate([("position", "max")])


def decayed(positions: NDArray[np.float64], *, as_of: datetime, half_life_days: float | None) -> NDArray[np.float64]:
    """0.5^(age / half-life) of positions in epoch seconds; 1 without a half-life. Positions after `as_of` count as of
    age 0."""
    if half_life_days is None:
        return np.ones(len(positions))
    now = float(np.datetime64(as_of, "us").astype(np.int64)) / 1e6
    return np.exp2(-np.maximum(0.0, now - positions) / _DAY_SECONDS / half_life_days)


_DAY_SECONDS = 86_400.0


def weight_batches(
    batches: Iterator[pa.RecordBatch], fit: Fit, *, threads: int, sources: str = ITEMS
) -> Iterator[pa.RecordBatch]:
    """The work of the task: from batches (user_id, item_id, value) to one batch of SCHEMA, none without rows."""
    coded = coded_rows(batches)
    if not len(coded.value):
        return
    try:
        with threadpool_limits(limits=threads, user_api="blas"):
            weights = fit(coded)
    except FreshetError as error:
        # As a row: an error that a task raises reaches the driver as a stack trace.
        yield _refusal(json.dumps({"type": type(error).__name__, **vars(error)}))
    else:
        names = coded.item_ids if sources == ITEMS else pa.array(np.arange(weights.shape[1])).cast(pa.string())
        yield _batch(weights, coded.item_ids, names)


def without_refusal(found: pa.Table) -> pa.Table:
    """The rows of SCHEMA without the column of refusals; raises the error if a row is a refusal."""
    for refused in found.column("refused").drop_null().to_pylist():
        error = json.loads(refused)
        raise getattr(errors, error.pop("type"))(**error)
    return found.drop_columns("refused")


def _refusal(reason: str) -> pa.RecordBatch:
    columns = [pa.array([None], pa.string()), pa.array([None], _LISTS), pa.array([reason], pa.string())]
    return pa.RecordBatch.from_arrays(columns, ["item_id", "neighbours", "refused"])


_LISTS = pa.list_(pa.struct([("item_id", pa.string()), ("weight", pa.float32())]))

_WEIGHTS = pa.schema([("item_id", pa.string()), ("neighbours", _LISTS), ("refused", pa.string())])


def _batch(weights: csr_matrix, items: pa.Array, names: pa.Array) -> pa.RecordBatch:
    scored = np.flatnonzero(np.diff(weights.indptr))
    compact = weights[scored]
    rows = np.repeat(np.arange(len(scored)), np.diff(compact.indptr))
    # Columns rise within a row, and the sort is stable: equal weights stay in the order of their ids.
    highest_first = np.lexsort((-compact.data, rows))
    sources = names.take(pa.array(compact.indices[highest_first]))
    values = pa.array(compact.data[highest_first], pa.float32())
    entries = pa.StructArray.from_arrays([sources, values], ["item_id", "weight"])
    lists = pa.ListArray.from_arrays(pa.array(compact.indptr.astype(np.int32)), entries)
    nothing = pa.nulls(len(scored), pa.string())
    return pa.RecordBatch.from_arrays(
        [items.take(pa.array(scored)), lists, nothing], ["item_id", "neighbours", "refused"]
    )
