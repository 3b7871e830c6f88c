"""Figures of a table's rows, found without Spark, where a query takes a second before it has read one row.

Read in pieces, so that memory is bounded by what is counted and not by the rows. Rows are chosen by a condition of
pyarrow, which also leaves out files by partition and statistics.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from deltalake import DeltaTable

from freshet.contracts import TableContract
from freshet.tables.format.arrow_reading import arrow_dataset
from freshet.tables.warehouse import Warehouse


def rows_where(warehouse: Warehouse, contract: TableContract, where: pc.Expression) -> int:
    """How many rows meet the condition; 0 when there is no table."""
    return int(_dataset(warehouse, contract).count_rows(filter=where)) if warehouse.exists(contract) else 0


def value_counts(
    warehouse: Warehouse, contract: TableContract, columns: Sequence[str], where: pc.Expression | None = None
) -> dict[str, Counter[str | None]]:
    """Per column how often each value occurs in the rows that meet the condition; in lists each element is counted.

    Meant for columns of few values. Raises StateError when there is no table.
    """
    counts: dict[str, Counter[str | None]] = {name: Counter() for name in columns}
    for batch in batches_where(warehouse, contract, columns, where):
        for name in columns:
            values = batch.column(name)
            flat = pc.list_flatten(values) if pa.types.is_list(values.type) else values
            found = pc.value_counts(flat)
            counts[name].update(dict(zip(found.field(0).to_pylist(), found.field(1).to_pylist(), strict=True)))
    return counts


def smallest_texts(
    warehouse: Warehouse, contract: TableContract, text: str, *, by: str, where: pc.Expression
) -> dict[str, str]:
    """Per value of column `by` the first in order of column `text`. Raises StateError when there is no table."""
    smallest: dict[str, str] = {}
    for batch in batches_where(warehouse, contract, [by, text], where):
        for value in pc.unique(batch.column(by)).to_pylist():
            first = pc.min(batch.column(text).filter(pc.equal(batch.column(by), value))).as_py()
            smallest[value] = min(first, smallest.get(value, first))
    return smallest


def extent(
    warehouse: Warehouse, contract: TableContract, column: str, where: pc.Expression | None = None
) -> tuple[datetime, datetime] | None:
    """The least and the greatest time in a column of the rows that meet the condition, UTC without zone.

    None when there is no such row. Raises StateError when there is no table.
    """
    batches = batches_where(warehouse, contract, [column], where)
    found = [pc.min_max(batch.column(column)) for batch in batches if batch.num_rows]
    if not found:
        return None
    # Delta's statistics have it too, but only in milliseconds.
    micros = pa.timestamp("us")
    return min(one["min"].cast(micros).as_py() for one in found), max(one["max"].cast(micros).as_py() for one in found)


def _dataset(warehouse: Warehouse, contract: TableContract) -> ds.Dataset:
    warehouse.require(contract)
    folder = warehouse.path(contract)
    return arrow_dataset(DeltaTable(folder), folder)


def batches_where(
    warehouse: Warehouse, contract: TableContract, columns: Sequence[str], where: pc.Expression | None = None
) -> Iterator[pa.RecordBatch]:
    """The rows that meet the condition, unordered, in batches that may be empty. Raises StateError when there is
    no table."""
    yield from _dataset(warehouse, contract).to_batches(columns=list(columns), filter=where)
