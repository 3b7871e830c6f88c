"""Exactly once for micro-batches: rows carry (query_id, batch_id), each batch is one commit.

A run of a query never repeats a batch; only the first batch after a start may have been written before. So the table
itself is asked once per start, and no write pays for the check.
"""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import to_arrow_schema

from freshet.contracts import TableContract
from freshet.storage.tables import Warehouse


def newest_batch(warehouse: Warehouse, contract: TableContract, query_id: str) -> int:
    """The highest batch_id that the table holds of a query; -1 when it holds none or does not exist."""
    if not warehouse.exists(contract):
        return -1
    of_query = warehouse.read(contract).where(F.col("query_id") == query_id)
    row = of_query.agg(F.max("batch_id")).first()
    assert row is not None  # an aggregate without grouping has exactly one row
    return -1 if row[0] is None else int(row[0])


def append_row(warehouse: Warehouse, contract: TableContract, row: Mapping[str, Any]) -> None:
    """Adds one row in one commit, without a Spark job: 20 ms instead of 500 for a figure of a micro-batch.

    Times are UTC. The row must keep the contract: its columns are taken by name, a missing one is an error. Only for
    tables on a local disk, within the process that holds the table's lease.
    """
    schema = to_arrow_schema(contract.schema, timezone="UTC")
    table = pa.Table.from_pylist([{name: row[name] for name in contract.column_names}], schema=schema)
    write_deltalake(warehouse.path(contract), table, mode="append")


def clear(warehouse: Warehouse, contract: TableContract) -> None:
    """Leaves the table there and empty; older versions can still be read. No commit when it is empty already."""
    warehouse.create(contract)
    if DeltaTable(warehouse.path(contract)).file_uris():
        warehouse.spark.sql(f"DELETE FROM delta.`{warehouse.path(contract)}`")
