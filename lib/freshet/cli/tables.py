"""freshet tables: the reference of all tables, generated from the contracts."""

import click
from rich.table import Table

from freshet.cli.options import json_option
from freshet.cli.output import Output, echo_json
from freshet.contracts import TableContract
from freshet.core.errors import InputError
from freshet.runs.registry import tables as known_tables


@click.command()
@click.argument("name", required=False)
@json_option
def tables(name: str | None, as_json: bool) -> None:
    """Describe every table: what a row is, its key, and columns with meaning and unit.

    \b
    Examples:
      freshet tables
      freshet tables recommendations
      freshet tables events --json
    """
    known = {contract.name: contract for contract in known_tables()}
    if name is not None and name not in known:
        raise InputError("there is no such table", where=name, expected=f"one of {', '.join(known)}")
    chosen = list(known.values()) if name is None else [known[name]]
    if as_json:
        echo_json([_as_data(contract) for contract in chosen], indent=1)
    elif name is None:
        Output().print(_overview(chosen))
    else:
        Output().print(_columns(chosen[0]))


def _overview(contracts: list[TableContract]) -> Table:
    shown = Table("table", "one row is", "key", title="freshet tables NAME shows the columns")
    for contract in contracts:
        shown.add_row(contract.name, contract.row, ", ".join(contract.key))
    return shown


def _columns(contract: TableContract) -> Table:
    shown = Table("column", "type", "meaning", "unit", "rules", title=f"{contract.name}: {contract.row}")
    for column in contract.columns:
        mark = " (key)" if column.name in contract.key else ""
        shown.add_row(column.name + mark, column.type.simpleString(), column.meaning, column.unit, column.rule_text())
    return shown


def _as_data(contract: TableContract) -> dict[str, object]:
    return {
        "name": contract.name,
        "row": contract.row,
        "key": list(contract.key),
        "partition_by": list(contract.partition_by),
        "columns": [
            {
                "name": c.name,
                "type": c.type.simpleString(),
                "meaning": c.meaning,
                "unit": c.unit,
                "rules": c.rule_text(),
            }
            for c in contract.columns
        ],
    }
