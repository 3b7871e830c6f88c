"""The table reference as Markdown, generated from the contracts."""

from collections.abc import Iterable

from freshet.contracts.table import TableContract

HEAD = """# Tables

All tables of Freshet, in the order of the flow. Generated from the contracts by `scripts/generate.sh`; key
columns are in bold.

"""


def markdown(contracts: Iterable[TableContract]) -> str:
    """The whole document: a heading and a table of columns per contract."""
    parts = []
    for contract in contracts:
        lines = [f"## `{contract.name}`", "", f"One row is {contract.row}.", ""]
        lines += ["| column | type | meaning | unit | rules |", "| --- | --- | --- | --- | --- |"]
        for column in contract.columns:
            name = f"**{column.name}**" if column.name in contract.key else column.name
            rules = column.rule_text().replace("|", "\\|")
            meaning = column.meaning.replace("|", "/")
            lines.append(f"| {name} | `{column.type.simpleString()}` | {meaning} | {column.unit} | {rules} |")
        parts.append("\n".join(lines))
    return HEAD + "\n\n".join(parts) + "\n"
