"""The table reference as Markdown, generated from the contracts."""

from collections.abc import Iterable

from freshet.contracts.table import TableContract

BEGIN, END = "<!-- tables: generated -->", "<!-- tables: end -->"


def markdown(contracts: Iterable[TableContract]) -> str:
    """A heading and a table of columns per contract."""
    parts = []
    for contract in contracts:
        lines = [f"#### `{contract.name}`", "", f"One row is {contract.row}.", ""]
        lines += ["| column | type | meaning | unit | rules |", "| --- | --- | --- | --- | --- |"]
        for column in contract.columns:
            name = f"**{column.name}**" if column.name in contract.key else column.name
            rules = column.rule_text().replace("|", "\\|")
            meaning = column.meaning.replace("|", "/")
            lines.append(f"| {name} | `{column.type.simpleString()}` | {meaning} | {column.unit} | {rules} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def with_reference(document: str, contracts: Iterable[TableContract]) -> str:
    """A document whose part between the markers is the reference; ValueError when a marker is missing."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the markers {BEGIN} and {END} are needed")
    return f"{before}{BEGIN}\n\n{markdown(contracts)}\n{END}{after}"
