"""Compares the columns of existing tables with their contracts, without Spark, which takes half a second to open a
table.

Columns that an earlier release did not write may be missing if they are nullable; any other difference was made by
hand."""

import json
from collections.abc import Sequence
from pathlib import Path

from deltalake import DeltaTable, Schema
from pyspark.sql.types import StructType

from freshet.contracts import TableContract
from freshet.core.errors import ContractError, listed


def has_commit(folder: Path, contract: TableContract) -> bool:
    """Whether the warehouse `folder` has the table; False as well while a first write is running, or if it was killed
    before its commit."""
    return any((folder / contract.name / "_delta_log").glob("*.json"))


def table_folder(folder: Path, contract: TableContract) -> Path:
    """The folder of a table of the warehouse `folder`, resolved, so that it is the same path however it is reached."""
    return (folder / contract.name).resolve()


def made_or_widened(folder: Path, contract: TableContract) -> None:
    """Creates the empty table, or adds the new columns to one of an earlier release; does nothing to a current one.
    Raises ContractError when its columns were changed by hand."""
    path = table_folder(folder, contract)
    if not has_commit(folder, contract):
        DeltaTable.create(
            str(path),
            schema=Schema.from_json(contract.schema.json()),
            partition_by=list(contract.partition_by) or None,
            configuration=contract.table_properties,
        )
        return
    table = DeltaTable(path)
    missing = missing_columns(table, contract)
    if missing.fields:
        table.alter.add_columns(Schema.from_json(missing.json()).fields)


def missing_columns(table: DeltaTable, contract: TableContract) -> StructType:
    """Columns that may be added. Raises ContractError for other differences."""
    found, missing = _columns(table, contract)
    contract.check_schema(StructType([*found, *missing]))
    return missing


def check_table_columns(folder: Path, contracts: Sequence[TableContract]) -> None:
    """Raises ContractError when the columns of tables were changed by hand, for all of them at once.

    Tables that do not exist are skipped. Reads the logs only.
    """
    problems = []
    for contract in contracts:
        if has_commit(folder, contract):
            found, missing = _columns(DeltaTable(str(folder / contract.name)), contract)
            wrong = contract.schema_problems(StructType([*found, *missing]))
            problems += [f"table {contract.name}: {problem}" for problem in wrong]
    if problems:
        raise ContractError(
            listed(problems), do="Nothing was written. `freshet tables NAME` shows the columns that a table must have"
        )


def _columns(table: DeltaTable, contract: TableContract) -> tuple[StructType, StructType]:
    """The columns of the table, and the missing ones that may be added."""
    found = StructType.fromJson(json.loads(table.schema().to_json()))
    return found, StructType([contract.schema[c.name] for c in contract.addable(found)])
