"""Exactly once for micro-batches: rows carry (query_id, batch_id), and each micro-batch is one commit.

A run of a query never repeats a micro-batch; only the first one after a start may have been written before. So the
table itself is asked once per start, and no write pays for the check.
"""

from deltalake import DeltaTable
from pyspark.sql import functions as F

from freshet.contracts import TableContract
from freshet.storage.tables import Warehouse


def newest_batch(warehouse: Warehouse, contract: TableContract, query_id: str) -> int:
    """The highest batch_id that the table holds of a query; -1 when it holds none or does not exist."""
    if not _has_files(warehouse, contract):
        return -1
    row = warehouse.read(contract).where(F.col("query_id") == query_id).agg(F.max("batch_id")).first()
    return -1 if row is None or row[0] is None else int(row[0])


def clear(warehouse: Warehouse, contract: TableContract) -> None:
    """Leaves the table in place and empty; older versions can still be read. No commit where it is empty already."""
    warehouse.create(contract)
    if _has_files(warehouse, contract):
        warehouse.spark.sql(f"DELETE FROM delta.`{warehouse.path(contract)}`")


def _has_files(warehouse: Warehouse, contract: TableContract) -> bool:
    return warehouse.exists(contract) and bool(DeltaTable(warehouse.path(contract)).file_uris())
