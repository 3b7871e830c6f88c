"""Queries of table `items_history` without Spark, in hundredths of a second."""

from datetime import datetime

import pyarrow as pa
from deltalake import DeltaTable, QueryBuilder

from freshet.contracts import ITEMS_HISTORY
from freshet.contracts.events import ITEM_STATE
from freshet.tables.format.arrow_rows import arrow_schema
from freshet.tables.warehouse import Warehouse


def item_states(warehouse: Warehouse, at: datetime, *, only_unavailable: bool = False) -> pa.Table:
    """ITEM_STATE: the newest state of each item at a moment (UTC), by what was known before it; item-sized.

    `only_unavailable`: of the items that are unavailable then; with a null `available` an item is available. Empty if
    there is no table.
    """
    columns = arrow_schema(ITEMS_HISTORY)
    schema = pa.schema([columns.field(name) for name in ITEM_STATE])
    if not warehouse.exists(ITEMS_HISTORY):
        return schema.empty_table()
    moment = f"{at:%Y-%m-%dT%H:%M:%S.%fZ}"
    query = f"""
    SELECT {", ".join(ITEM_STATE)} FROM (
      SELECT *, ROW_NUMBER() OVER (PARTITION BY item_id ORDER BY valid_from DESC) AS place
      FROM states WHERE valid_from < '{moment}' AND known_at < '{moment}'
    ) WHERE place = 1{" AND available = false" if only_unavailable else ""}
    """
    return _found(warehouse, query).cast(schema)


def listed_items(warehouse: Warehouse) -> pa.Array:
    """Ids of all items of the catalogue, each once; item-sized. Empty if there is no table."""
    if not warehouse.exists(ITEMS_HISTORY):
        return pa.array([], pa.string())
    found = _found(warehouse, "SELECT DISTINCT item_id FROM states WHERE valid_to IS NULL")
    return found.column("item_id").combine_chunks().cast(pa.string())


def _found(warehouse: Warehouse, query: str) -> pa.Table:
    table = DeltaTable(warehouse.path(ITEMS_HISTORY))
    return pa.table(QueryBuilder().register("states", table).execute(query).read_all())
