"""Small reads of Delta tables without Spark: facts about a table, a few rows by key."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from deltalake import DeltaTable, QueryBuilder

from freshet.contracts import TableContract
from freshet.tables.format.arrow_reading import arrow_dataset
from freshet.tables.format.arrow_rows import arrow_schema
from freshet.tables.format.columns import has_commit, missing_columns
from freshet.tables.format.data_files import NotPlainError, check_plain
from freshet.tables.warehouse import Warehouse


def table_facts(folder: Path, contract: TableContract) -> dict[str, int] | None:
    """Rows, version and live files of a table, None when there is none. Reads the log only."""
    if not has_commit(folder, contract):
        return None
    table = DeltaTable(str(folder / contract.name))
    actions = pa.table(table.get_add_actions(flatten=True))
    rows = pc.sum(actions.column("num_records")).as_py() if actions.num_rows else 0
    return {"rows": rows or 0, "version": table.version(), "files": actions.num_rows}


def whole_table(warehouse: Warehouse, contract: TableContract) -> pa.Table:
    """All rows of a table that fits into memory; none if there is no table."""
    empty = arrow_schema(contract).empty_table()
    if not warehouse.exists(contract):
        return empty
    path = warehouse.path(contract)
    return arrow_dataset(DeltaTable(path), path).to_table(columns=contract.column_names).cast(empty.schema)


def all_rows(folder: Path, contract: TableContract) -> list[dict[str, Any]]:
    """All rows of a small table. Otherwise as `some_rows`."""
    return some_rows(folder, contract, columns=contract.column_names, where=pc.scalar(True), at_most=_SMALL)


_SMALL = 1_000_000
"""More rows than a small table has."""


def table_files(path: Path, *, version: int | None = None) -> list[Path]:
    """The data files of the newest version of the Delta table at `path`, or of `version`, in name order."""
    uris = DeltaTable(str(path), version=version).file_uris()
    return sorted(Path(unquote(uri.removeprefix("file://"))) for uri in uris)


def rows_where(folder: Path, contract: TableContract, column: str, value: Any) -> list[dict[str, Any]]:
    """The rows whose column equals a value; empty when the table does not exist.

    Columns that an earlier release did not write are null. Raises ContractError when the columns were changed by hand.
    """
    if not has_commit(folder, contract):
        return []
    table = DeltaTable(str(folder / contract.name))
    unwritten = dict.fromkeys(missing_columns(table, contract).names)
    rows = arrow_dataset(table, folder / contract.name).to_table(filter=ds.field(column) == value).to_pylist()
    return [{**row, **unwritten} for row in rows]


def some_rows(
    folder: Path, contract: TableContract, *, columns: Sequence[str], where: pc.Expression, at_most: int
) -> list[dict[str, Any]]:
    """The named columns of the first rows, in the table's file order, that meet a pyarrow condition.

    Only the named columns are read, and only files that may hold such rows. As in `rows_where`, there may be no table,
    columns that an earlier release did not write are null, and ContractError is raised.
    """
    if not has_commit(folder, contract):
        return []
    table = DeltaTable(str(folder / contract.name))
    missing = missing_columns(table, contract).names
    unwritten = dict.fromkeys(name for name in columns if name in missing)
    found = [name for name in columns if name not in missing]
    dataset = arrow_dataset(table, folder / contract.name)
    rows = dataset.scanner(columns=found, filter=where).head(at_most).to_pylist()
    return [{**row, **unwritten} for row in rows]


def may_hold(folder: Path, contract: TableContract, where: str) -> bool:
    """Whether the table has rows that meet a condition in SQL; True as well if only Spark can evaluate it.

    Raises ContractError when the columns were changed by hand.
    """
    if not has_commit(folder, contract):
        return False
    table = DeltaTable(str(folder / contract.name))
    missing_columns(table, contract)
    try:
        check_plain(table)
    except NotPlainError:
        return True
    query = f"SELECT 1 FROM asked WHERE {where} LIMIT 1"
    return bool(pa.table(QueryBuilder().register("asked", table).execute(query).read_all()).num_rows)


def column_ends(folder: Path, contract: TableContract, column: str) -> tuple[Any, Any] | None:
    """The lowest and highest value of a column from the log alone; None when there is no table or a file lacks them."""
    if not has_commit(folder, contract):
        return None
    actions = pa.table(DeltaTable(str(folder / contract.name)).get_add_actions(flatten=True))
    low, high = f"min.{column}", f"max.{column}"
    if not actions.num_rows or not {low, high} <= set(actions.column_names):
        return None
    if actions.column(low).null_count or actions.column(high).null_count:
        return None
    return pc.min(actions.column(low)).as_py(), pc.max(actions.column(high)).as_py()
