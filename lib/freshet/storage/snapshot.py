"""Small looks at Delta tables without Spark: facts about a table, a few rows by key."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from deltalake import DeltaTable

from freshet.contracts import TableContract


def table_facts(folder: Path, contract: TableContract) -> dict[str, int] | None:
    """Rows, version and live files of a table, None when there is none. Reads the log only."""
    if not (folder / contract.name / "_delta_log").is_dir():
        return None
    table = DeltaTable(str(folder / contract.name))
    actions = pa.table(table.get_add_actions(flatten=True))
    rows = pc.sum(actions.column("num_records")).as_py() if actions.num_rows else 0
    return {"rows": rows or 0, "version": table.version(), "files": actions.num_rows}


def rows_where(folder: Path, contract: TableContract, column: str, value: Any) -> list[dict[str, Any]]:
    """The rows whose column equals a value; empty when the table does not exist."""
    if not (folder / contract.name / "_delta_log").is_dir():
        return []
    dataset = DeltaTable(str(folder / contract.name)).to_pyarrow_dataset()
    rows: list[dict[str, Any]] = dataset.to_table(filter=ds.field(column) == value).to_pylist()
    return rows
