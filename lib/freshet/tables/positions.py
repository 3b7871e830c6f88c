"""How far a shop's own Delta table is ingested: the version up to which all rows are, stored next to the checkpoints.

Files of a table are replaced when it is optimized, so their names cannot say for ever which rows are ingested.
"""

import json
from pathlib import Path
from typing import NamedTuple

from deltalake import DeltaTable

from freshet.core.errors import InputError, StateError
from freshet.core.records import read_record, write_record


class TableVersion(NamedTuple):
    """A table, by the id that it got when it was created, and a version of it."""

    table_id: str
    version: int


def newest(table: Path) -> TableVersion:
    """The id and newest version of a Delta table."""
    opened = DeltaTable(table)
    return TableVersion(str(opened.metadata().id), opened.version())


def keep_position(folder: Path, source: str, table: Path, ingested: TableVersion) -> None:
    """Records that the tables of the home have all rows of the table up to this version; a lower version changes
    nothing."""
    known = kept_position(folder, source, ingested.table_id)
    if known is None or known < ingested.version:
        folder.mkdir(parents=True, exist_ok=True)
        write_record(folder, _name(source, ingested.table_id), {"version": ingested.version, "name": table.name})


def kept_position(folder: Path, source: str, table_id: str) -> int | None:
    """The version of `keep_position`; None for a table that was never ingested, or was created again since."""
    known = read_record(folder, _name(source, table_id))
    return None if known is None else int(known["version"])


def check_name(folder: Path, source: str, table: Path) -> None:
    """Raises InputError if another table of this name was ingested: rows are identified by the name of their table."""
    mine = _name(source, newest(table).table_id)
    for file in folder.glob(f"{source}-*.json"):
        other = read_record(folder, file.stem)
        if file.stem != mine and other is not None and other["name"] == table.name:
            raise InputError(
                "another table of this name was ingested with this mapping, and rows are identified by it",
                where=str(table), do="Give the folder, or the mapping, another name",
            )  # fmt: skip


def first_version_to_read(folder: Path, source: str, table: Path) -> int:
    """The version whose rows are to be read next: the one after the position, version 0 without a position.

    If there is no newer version, that of the position: its rows are recognised by their places. Raises StateError when
    the table's log no longer has the version, or when that commit has changed rows.
    """
    now = newest(table)
    known = kept_position(folder, source, now.table_id)
    version = 0 if known is None else min(known + 1, now.version)
    entry = table / "_delta_log" / f"{version:020d}.json"
    if not entry.is_file():
        raise StateError(
            "the table's log no longer reaches back to where the intake would start", where=str(table),
            expected=f"version {version}",
            do="Run freshet ingest on the table: its rows replace those of the home, and the stream continues "
            "from there",
        )  # fmt: skip
    if version == known and _changes_rows(entry):
        raise StateError(
            "the newest commit of the table changes rows, and a stream cannot start there", where=str(table),
            do="All its rows are ingested: start the stream after the next append",
        )  # fmt: skip
    return version


def check_not_overtaken(folder: Path, source: str, table: Path, seen: TableVersion) -> None:
    """Raises StateError if an ingest has read more than a query, which would ingest it again."""
    known = kept_position(folder, source, seen.table_id)
    if known is not None and known > seen.version:
        raise StateError(
            "the table was ingested while the stream was stopped", where=str(table),
            expected=f"version {seen.version}", found=f"version {known}",
            do="Start over with --rebuild: nothing is lost or doubled",
        )  # fmt: skip


def _name(source: str, table_id: str) -> str:
    return f"{source}-{table_id}"


def _changes_rows(entry: Path) -> bool:
    removed = [json.loads(line)["remove"] for line in entry.read_text(encoding="utf-8").splitlines()
               if line.startswith('{"remove"')]  # fmt: skip
    return any(one.get("dataChange", True) for one in removed)
