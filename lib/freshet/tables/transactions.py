"""Exactly once for micro-batches: rows carry (query_id, batch_id), and each micro-batch is one commit.

A run of a query never repeats a micro-batch; only the first one after a start may have been written before. So the
table is queried once per start, and no write pays for the check. Without Spark, in hundredths of a second.
"""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable, QueryBuilder

from freshet.contracts import TableContract
from freshet.tables.format.sql import literal
from freshet.tables.warehouse import Warehouse


def newest_batch(warehouse: Warehouse, contract: TableContract, query_id: str) -> int:
    """The highest batch_id that the table holds of a query; -1 when it holds none. The table must exist."""
    newest = _selected(warehouse, contract, "MAX(batch_id) AS newest", query_id).column("newest")[0].as_py()
    return -1 if newest is None else int(newest)


def figures_of_query(
    warehouse: Warehouse, contract: TableContract, query_id: str, columns: Sequence[str]
) -> list[dict[str, Any]]:
    """`columns` of all rows of a query in order of batch_id, times in UTC without a zone.

    Only for tables with one row per micro-batch: the rows come to the driver. The table must exist.
    """
    names = list(dict.fromkeys(["batch_id", *columns]))
    table = _selected(warehouse, contract, ", ".join(f'"{name}"' for name in names), query_id)
    for place, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type):
            plain = table.column(place).cast(pa.timestamp("us"))
            table = table.set_column(place, field.name, plain)
    rows = sorted(table.to_pylist(), key=lambda row: row["batch_id"])
    return [{name: row[name] for name in columns} for row in rows]


def clear(warehouse: Warehouse, contract: TableContract) -> None:
    """Empties the table; older versions can still be read. No commit if it is empty already."""
    warehouse.create(contract)
    table = DeltaTable(warehouse.path(contract))
    if table.file_uris():
        table.delete()


def _selected(warehouse: Warehouse, contract: TableContract, what: str, query_id: str) -> pa.Table:
    table = DeltaTable(warehouse.path(contract))
    query = f"SELECT {what} FROM stamped WHERE query_id = {literal(query_id)}"
    return pa.table(QueryBuilder().register("stamped", table).execute(query).read_all())
