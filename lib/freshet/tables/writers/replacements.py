"""Replaces a whole table with rows that come in parts, without Spark."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.transaction import AddAction

from freshet.contracts import TableContract
from freshet.tables.format.arrow_rows import checked
from freshet.tables.format.columns import table_folder
from freshet.tables.format.data_files import check_plain, written_file
from freshet.tables.writers.delta_rs import commit_properties
from freshet.tables.writers.interface import Transaction


class PartWriter:
    """Replaces tables of the warehouse in `folder`, an Arrow table at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def replace(self, rows: Iterable[pa.Table], *, contract: TableContract) -> int:
        """As TableReplacer, by `replace_by_parts`."""
        return replace_by_parts(table_folder(self.folder, contract), rows, contract)


def replace_by_parts(folder: Path, parts: Iterable[pa.Table], contract: TableContract) -> int:
    """Replaces all rows of the table in `folder` with `parts`, a data file each, in one commit; returns their number.

    One part at a time is in memory; the caller ensures that no two parts have a key in common. For existing tables
    without partitions, in the process that holds their lease. Raises ContractError if a part breaks a rule,
    NotPlainError if the table has features beyond plain files; then nothing is committed and no file stays.
    """
    table = DeltaTable(folder)
    check_plain(table)
    written: list[dict[str, Any]] = []
    rows = 0
    try:
        for part in parts:
            written.append(written_file(folder, checked(part, contract), {}, contract))
            rows += part.num_rows
    except BaseException:
        removed(folder, written)
        raise
    put_in(folder, table, written, mode="overwrite", transaction=None)
    return rows


def put_in(
    folder: Path, table: DeltaTable, entries: list[dict[str, Any]], *, mode: str, transaction: Transaction | None
) -> None:
    """Adds the files of `entries`, or replaces all others with them (mode overwrite), in one commit; if that fails, the
    files are removed."""
    try:
        table.create_write_transaction(
            list(map(_add, entries)), mode=mode, schema=table.schema(), commit_properties=commit_properties(transaction)
        )
    except BaseException:
        removed(folder, entries)
        raise


def removed(folder: Path, entries: list[dict[str, Any]]) -> None:
    """Removes files that are in no commit."""
    for entry in entries:
        (folder / unquote(entry["path"])).unlink(missing_ok=True)


def _add(entry: dict[str, Any]) -> AddAction:
    return AddAction(
        entry["path"], entry["size"], entry["partitionValues"], entry["modificationTime"], entry["dataChange"],
        entry["stats"],
    )  # fmt: skip
