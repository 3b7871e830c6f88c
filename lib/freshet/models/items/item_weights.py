"""What the item-to-item models share: their lists of weights, and how these leave the one task that makes them.

Both models say how much each item a shopper has (the speaking item) lifts or lowers every other (the scored item).
Of each scored item the `count` weights that are largest in size are kept, negative ones included.
"""

import json
from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from freshet.core import errors
from freshet.core.errors import FreshetError, SetupError
from freshet.numeric.coded_rows import CodedRows, coded_rows

SCHEMA = "item_id string, neighbours array<struct<item_id: string, weight: float>>, refused string"

Fit = Callable[[CodedRows], csr_matrix]
"""Rows to weights [scored, speaking]; raises errors of ours only."""


def check_memory(needed: int, memory_gb: float, *, items: int, setting: str) -> None:
    """Raises SetupError, naming `setting`, where a fit that has not begun needs more bytes than it may take."""
    if needed > memory_gb * 1e9:
        raise SetupError(
            "a model of items by items needs more memory than it may take",
            where=setting,
            expected=f"at most {memory_gb:g} GB",
            found=f"{needed / 1e9:.1f} GB for {items:,} items",
            do="Allow more, or lower dense_items: fewer items are then solved exactly",
        )


def fitted_weights(rows: DataFrame, fit: Fit, *, threads: int) -> pa.Table:
    """(item_id, neighbours array<item_id, weight>) of scored items, highest weight first; items without any are absent.

    `rows` is (user_id, item_id, value); `fit` runs in one task on `threads` BLAS threads. The table is item-sized and
    comes to the driver. Errors of ours that `fit` raises are raised here as they are.
    """

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        yield from weight_batches(batches, fit, threads=threads)

    # A shuffle, and not coalesce: what comes before it is still computed by all cores.
    return without_refusal(rows.repartition(1).mapInArrow(run, SCHEMA).toArrow())


def weight_batches(batches: Iterator[pa.RecordBatch], fit: Fit, *, threads: int) -> Iterator[pa.RecordBatch]:
    """What the task does: batches (user_id, item_id, value) in, one of SCHEMA out, none for no row."""
    coded = coded_rows(batches)
    if not len(coded.value):
        return
    try:
        with threadpool_limits(limits=threads, user_api="blas"):
            weights = fit(coded)
    except FreshetError as error:
        # As a row: what a task raises reaches the driver as a stack trace.
        yield _refusal(json.dumps({"type": type(error).__name__, **vars(error)}))
    else:
        yield _batch(weights, coded.item_ids)


def without_refusal(found: pa.Table) -> pa.Table:
    """The rows of SCHEMA without the column of refusals; raises the error that one holds."""
    for refused in found.column("refused").drop_null().to_pylist():
        error = json.loads(refused)
        raise getattr(errors, error.pop("type"))(**error)
    return found.drop_columns("refused")


def _refusal(reason: str) -> pa.RecordBatch:
    columns = [pa.array([None], pa.string()), pa.array([None], _LISTS), pa.array([reason], pa.string())]
    return pa.RecordBatch.from_arrays(columns, ["item_id", "neighbours", "refused"])


_LISTS = pa.list_(pa.struct([("item_id", pa.string()), ("weight", pa.float32())]))


def _batch(weights: csr_matrix, items: pa.Array) -> pa.RecordBatch:
    scored = np.flatnonzero(np.diff(weights.indptr))
    compact = weights[scored]
    rows = np.repeat(np.arange(len(scored)), np.diff(compact.indptr))
    # Columns rise within a row, and the sort is stable: equal weights stay in the order of their ids.
    highest_first = np.lexsort((-compact.data, rows))
    speaking = items.take(pa.array(compact.indices[highest_first]))
    values = pa.array(compact.data[highest_first], pa.float32())
    entries = pa.StructArray.from_arrays([speaking, values], ["item_id", "weight"])
    lists = pa.ListArray.from_arrays(pa.array(compact.indptr.astype(np.int32)), entries)
    nothing = pa.nulls(len(scored), pa.string())
    return pa.RecordBatch.from_arrays(
        [items.take(pa.array(scored)), lists, nothing], ["item_id", "neighbours", "refused"]
    )
