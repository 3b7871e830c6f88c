"""Data files of Delta tables that Arrow reads and writes, and their entries in the log.

For tables on a local disk without table features beyond plain files and log entries.
"""

import json
import uuid
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import DeltaTable

from freshet.contracts import TableContract

_PLAIN_READER_VERSION, _PLAIN_WRITER_VERSION = 1, 2
"""Tables of later versions of the protocol may have further features: column mapping, row tracking, deletion
vectors."""

_LONGEST_END = 256
"""Characters. A client may send an id of a megabyte, which every reader of the log would have to read."""

_HIGHEST = "\U0010ffff"
"""No text sorts after it."""

_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"


class NotPlainError(Exception):
    """The table has features that this module does not support."""


def check_plain(table: DeltaTable) -> None:
    """Raises NotPlainError if the table has features beyond plain files and log entries."""
    protocol = table.protocol()
    if protocol.min_reader_version > _PLAIN_READER_VERSION or protocol.min_writer_version > _PLAIN_WRITER_VERSION:
        raise NotPlainError


@dataclass(frozen=True)
class DataFile:
    """A live file of a table and the values of its partition columns, which its rows lack.

    `highest` are the highest values of columns as the log gives them: times truncated to milliseconds, as UTC.
    """

    path: Path
    partition: dict[str, Any]
    rows: int
    highest: dict[str, Any]


def live_files(folder: Path) -> list[DataFile]:
    """The files of the newest version of the table in `folder`. Raises NotPlainError if they do not
    describe all of its rows."""
    table = DeltaTable(folder)
    check_plain(table)
    entries = pa.table(table.get_add_actions()).to_pylist()
    if any(entry["num_records"] is None for entry in entries):
        raise NotPlainError
    return [
        DataFile(
            folder / unquote(entry["path"]), entry.get("partition") or {}, entry["num_records"], entry.get("max") or {}
        )
        for entry in entries
    ]


def written_file(folder: Path, rows: pa.Table, values: dict[str, Any], contract: TableContract) -> dict[str, Any]:
    """Writes `rows`, which have the partition `values`, as a data file and returns the log entry that adds it to the
    table in `folder`."""
    texts = {name: None if value is None else str(value) for name, value in values.items()}
    parents = [f"{name}={_NO_VALUE if text is None else quote(text, safe='')}" for name, text in texts.items()]
    place = "/".join([*parents, f"part-00000-{uuid.uuid4()}-c000.snappy.parquet"])
    file = folder / place
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        kept = rows.drop_columns(list(values))
        repeating = [path for field in kept.schema for path in _repeating(field.name, field.type)]
        pq.write_table(kept, file, compression="snappy", store_schema=False, use_dictionary=repeating)
    except BaseException:
        file.unlink(missing_ok=True)
        raise
    status = file.stat()
    return {
        "path": quote(place, safe="/="),
        "partitionValues": texts,
        "size": status.st_size,
        "modificationTime": status.st_mtime_ns // 1_000_000,
        "dataChange": True,
        "stats": json.dumps(_statistics(rows, contract)),
    }


def _repeating(path: str, kind: pa.DataType, *, is_listed: bool = False) -> list[str]:
    """Parquet's names of the columns below `path` whose values may repeat. Numbers with a fraction in lists (scores,
    factors) hardly do: a dictionary of them took a third of the time of writing lists, and made larger files."""
    if pa.types.is_struct(kind):
        return [one for field in kind for one in _repeating(f"{path}.{field.name}", field.type, is_listed=is_listed)]
    if pa.types.is_list(kind):
        return _repeating(f"{path}.list.element", kind.value_type, is_listed=True)
    if pa.types.is_map(kind):
        below = (("key", kind.key_type), ("value", kind.item_type))
        return [one for name, part in below for one in _repeating(f"{path}.key_value.{name}", part)]
    return [] if is_listed and pa.types.is_floating(kind) else [path]


def _statistics(rows: pa.Table, contract: TableContract) -> dict[str, Any]:
    """Statistics by which readers skip files."""
    ends = {name: pc.min_max(rows.column(name)).as_py() for name in contract.measured}
    bounds = {name: both for name, both in ends.items() if both["min"] is not None}
    return {
        "numRecords": rows.num_rows,
        "minValues": {name: _json_value(both["min"]) for name, both in bounds.items()},
        "maxValues": {name: _json_value(both["max"], ending=_HIGHEST) for name, both in bounds.items()},
        "nullCount": {name: rows.column(name).null_count for name in contract.measured},
    }


def _json_value(value: Any, *, ending: str = "") -> Any:
    """Times truncated to milliseconds, as the protocol has it: readers allow for the rest. Long texts are cut too, with
    `ending` in place of the rest."""
    if isinstance(value, str) and len(value) > _LONGEST_END:
        return value[:_LONGEST_END] + ending
    return f"{value:%Y-%m-%dT%H:%M:%S}.{value.microsecond // 1000:03d}Z" if isinstance(value, datetime) else value
