"""Queries of table `items_history` without Spark, in hundredths of a second."""

from datetime import datetime

import pyarrow as pa
from deltalake import DeltaTable, QueryBuilder

from freshet.contracts import ITEMS_HISTORY
from freshet.tables.warehouse import Warehouse


def unavailable_items(warehouse: Warehouse, at: datetime) -> pa.Array:
    """Ids of the items that were unavailable at a moment (UTC), by what was known before it; item-sized.

    The newest state of each item counts; with a null `available` the item is available. Empty if there is no table.
    """
    if not warehouse.exists(ITEMS_HISTORY):
        return pa.array([], pa.string())
    moment = f"{at:%Y-%m-%dT%H:%M:%S.%fZ}"
    query = f"""
    SELECT item_id FROM (
      SELECT item_id, available, ROW_NUMBER() OVER (PARTITION BY item_id ORDER BY valid_from DESC) AS place
      FROM states WHERE valid_from < '{moment}' AND known_at < '{moment}'
    ) WHERE place = 1 AND available = false
    """
    return _ids(warehouse, query)


def listed_items(warehouse: Warehouse) -> pa.Array:
    """Ids of all items of the catalogue, each once; item-sized. Empty if there is no table."""
    if not warehouse.exists(ITEMS_HISTORY):
        return pa.array([], pa.string())
    return _ids(warehouse, "SELECT DISTINCT item_id FROM states WHERE valid_to IS NULL")


def _ids(warehouse: Warehouse, query: str) -> pa.Array:
    table = DeltaTable(warehouse.path(ITEMS_HISTORY))
    found = pa.table(QueryBuilder().register("states", table).execute(query).read_all()).column("item_id")
    return found.combine_chunks().cast(pa.string())
