"""Array functions for counting features inside a task: texts as integers, groups of rows, quotients."""

from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

DAY = 86_400_000_000
"""Microseconds."""

NEVER = np.iinfo(np.int64).min
"""Represents the absence of a time."""

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def encoded(column: pa.ChunkedArray) -> tuple[pa.Array, Ints]:
    """The distinct texts, and for each row the index of its text; -1 for null."""
    whole = column.combine_chunks().dictionary_encode()
    if isinstance(whole, pa.ChunkedArray):
        whole = whole.combine_chunks()
    return whole.dictionary, pc.fill_null(whole.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)


def is_any(names: pa.ChunkedArray, wanted: tuple[str, ...]) -> Bools:
    """Mask of texts that are one of `wanted`; false for null."""
    return pc.is_in(names, value_set=pa.array(wanted)).to_numpy()


def micros(column: pa.ChunkedArray) -> Ints:
    """Times (UTC, never null) as microseconds since 1970."""
    return column.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()).to_numpy()


def micros_of(moment: datetime) -> int:
    """A moment, UTC without zone, as microseconds since 1970."""
    return int(pa.scalar(moment.replace(tzinfo=UTC), pa.timestamp("us", tz="UTC")).value)


def ratio(above: NDArray, below: NDArray) -> Floats:
    """Quotients, NaN where the divisor is 0."""
    return np.divide(above, below, out=np.full(len(above), np.nan), where=below > 0)


def joint(left: Ints, right: Ints) -> Ints:
    """Combines two keys, each at least -1, into one."""
    return left * (int(right.max(initial=0)) + 2) + right + 1


def highest(values: Ints, groups: Ints, count: int) -> Ints:
    """Highest value of each group, NEVER for a group without values."""
    found = np.full(count, NEVER)
    np.maximum.at(found, groups, values)
    return found


def batches(columns: dict[str, pa.Array | NDArray], as_of: datetime, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """A batch of `schema` with as_of added; none without rows. NaN and NEVER represent null."""
    rows = len(next(iter(columns.values())))
    if not rows:
        return
    moment = pa.scalar(as_of.replace(tzinfo=UTC), pa.timestamp("us", tz="UTC"))
    whole = {"as_of": pa.repeat(moment, rows), **columns}
    yield pa.RecordBatch.from_arrays([_typed(whole[field.name], field.type) for field in schema], schema=schema)


def _typed(values: pa.Array | NDArray, kind: pa.DataType) -> pa.Array:
    if isinstance(values, pa.Array):
        return values
    if pa.types.is_timestamp(kind):
        return pa.array(values, pa.int64(), mask=values == NEVER).cast(kind)
    return pa.array(values, kind, mask=np.isnan(values) if pa.types.is_floating(kind) else None)
