"""How far a shop's own Delta table is taken in: a version up to which all rows stand, kept beside the checkpoints.

Files of a table come and go as it is laid out anew, so what stands cannot be read off their names for ever.
"""

import json
from pathlib import Path
from typing import NamedTuple

from deltalake import DeltaTable

from freshet.core.errors import InputError, StateError
from freshet.core.records import read_record, write_record


class Passed(NamedTuple):
    """A table, by the id that it got when it was made, and a version of it."""

    table_id: str
    version: int


def newest(table: Path) -> Passed:
    """A Delta table as it is now."""
    opened = DeltaTable(table)
    return Passed(str(opened.metadata().id), opened.version())


def keep_position(folder: Path, source: str, table: Path, passed: Passed) -> None:
    """Notes that all rows of the table's versions up to this one stand in the tables of the home; never a lower one."""
    known = kept_position(folder, source, passed.table_id)
    if known is None or known < passed.version:
        folder.mkdir(parents=True, exist_ok=True)
        write_record(folder, _name(source, passed.table_id), {"version": passed.version, "name": table.name})


def kept_position(folder: Path, source: str, table_id: str) -> int | None:
    """The version of `keep_position`; None for a table that was never taken in, or was made anew since."""
    known = read_record(folder, _name(source, table_id))
    return None if known is None else int(known["version"])


def check_name(folder: Path, source: str, table: Path) -> None:
    """Raises InputError where another table of this name was taken in: rows are known by the name of their table."""
    mine = _name(source, newest(table).table_id)
    for file in folder.glob(f"{source}-*.json"):
        other = read_record(folder, file.stem)
        if file.stem != mine and other is not None and other["name"] == table.name:
            raise InputError(
                "another table of this name was taken in by this mapping, and rows are known by it", where=str(table),
                do="Give the folder, or the mapping, another name",
            )  # fmt: skip


def version_to_begin(folder: Path, source: str, table: Path) -> int:
    """The version whose rows come next: the one behind the position, the first where there is none.

    Where nothing has come since, the position's own: its rows are known by their places. Raises StateError when the
    table's log no longer has it, or when that commit has changed rows.
    """
    now = newest(table)
    known = kept_position(folder, source, now.table_id)
    version = 0 if known is None else min(known + 1, now.version)
    entry = table / "_delta_log" / f"{version:020d}.json"
    if not entry.is_file():
        raise StateError(
            "the table's log no longer reaches back to where the intake would begin", where=str(table),
            expected=f"version {version}",
            do="Run freshet ingest on the table: its rows take the place of those that stand, and the stream goes on "
            "from there",
        )  # fmt: skip
    if version == known and _changes_rows(entry):
        raise StateError(
            "the newest commit of the table changes rows, and a stream cannot begin there", where=str(table),
            do="All its rows stand: start the stream after the next append",
        )  # fmt: skip
    return version


def check_not_overtaken(folder: Path, source: str, table: Path, seen: Passed) -> None:
    """Raises StateError where an ingest has taken in more than a query has seen: it would take that in again."""
    known = kept_position(folder, source, seen.table_id)
    if known is not None and known > seen.version:
        raise StateError(
            "the table was ingested since the stream stood still", where=str(table),
            expected=f"version {seen.version}", found=f"version {known}",
            do="Begin anew with --rebuild: nothing is lost or doubled",
        )  # fmt: skip


def _name(source: str, table_id: str) -> str:
    return f"{source}-{table_id}"


def _changes_rows(entry: Path) -> bool:
    removed = [json.loads(line)["remove"] for line in entry.read_text(encoding="utf-8").splitlines()
               if line.startswith('{"remove"')]  # fmt: skip
    return any(one.get("dataChange", True) for one in removed)
