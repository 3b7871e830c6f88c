"""How far a shop's own Delta table is taken in: a version up to which all rows stand, kept beside the checkpoints.

Files of a table come and go as it is laid out anew, so what stands cannot be read off their names for ever.
"""

import json
from pathlib import Path

from deltalake import DeltaTable

from freshet.errors import StateError
from freshet.storage.ledger import read_record, write_record


def keep_position(folder: Path, source: str, table: Path, version: int) -> None:
    """Notes that all rows of the table's versions up to this one stand in the tables of the home."""
    folder.mkdir(parents=True, exist_ok=True)
    write_record(folder, _name(source, table), {"version": version, "table": str(table)})


def kept_position(folder: Path, source: str, table: Path) -> int | None:
    """The version of `keep_position`; None for a table that was never taken in, or was made anew since."""
    known = read_record(folder, _name(source, table))
    return None if known is None else int(known["version"])


def table_version(table: Path) -> int:
    """The newest version of a Delta table."""
    return DeltaTable(table).version()


def version_to_begin(folder: Path, source: str, table: Path) -> int:
    """The version whose rows come next: the one behind the position, the first where there is none.

    Where nothing has come since, the position's own: its rows are known by their places. Raises StateError when the
    table's log no longer has it.
    """
    known = kept_position(folder, source, table)
    version = 0 if known is None else min(known + 1, table_version(table))
    if not (table / "_delta_log" / f"{version:020d}.json").is_file():
        raise StateError(
            "the table's log no longer reaches back to where the intake would begin", where=str(table),
            expected=f"version {version}",
            do="Run freshet ingest on the table: its rows take the place of those that stand, and the stream goes on "
            "from there",
        )  # fmt: skip
    return version


def version_passed(checkpoint: Path) -> int | None:
    """The version up to which a query on a Delta table has seen all rows, by its newest offset; None before any."""
    offsets = [int(file.name) for file in (checkpoint / "offsets").glob("*") if file.name.isdigit()]
    if not offsets:
        return None
    lines = (checkpoint / "offsets" / str(max(offsets))).read_text(encoding="utf-8").splitlines()
    return int(json.loads(lines[2])["reservoirVersion"]) - 1


def _name(source: str, table: Path) -> str:
    return f"{source}-{DeltaTable(table).metadata().id}"
