"""The columns of tables that stand, against their contracts. Spark takes half a second to open a table, so without it.

What an older product did not write may be missing where it takes null; any other difference was made by hand.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from deltalake import DeltaTable, Schema
from pyspark.sql.types import StructType

from freshet.contracts import TableContract
from freshet.core.errors import ContractError, listed


def has_commit(folder: Path, contract: TableContract) -> bool:
    """Whether the warehouse `folder` has the table; False as well where a first write goes on, or was killed before
    its commit."""
    return any((folder / contract.name / "_delta_log").glob("*.json"))


def table_folder(folder: Path, contract: TableContract) -> Path:
    """The folder of a table of the warehouse `folder`, by the same name whatever way leads to it."""
    return (folder / contract.name).resolve()


def made_or_widened(folder: Path, contract: TableContract) -> None:
    """Makes the empty table, or gives that of an older product its new columns; nothing where it is as it should be.
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

    Tables that do not exist are passed over. Reads the logs only.
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
    """Those of the table, and those that it lacks and that may be added."""
    found = StructType.fromJson(json.loads(table.schema().to_json()))
    return found, StructType([contract.schema[c.name] for c in contract.addable(found)])
