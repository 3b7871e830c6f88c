"""Operations that keep a table with thousands of small commits a day fast: drop, pack, forget, vacuum, shorten the log.

Without Spark, in hundredths of a second. For tables on a local disk, in the process that writes the table and never
while that process writes it by Spark.
"""

import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable, QueryBuilder
from deltalake.exceptions import CommitFailedError

from freshet.contracts import TableContract
from freshet.tables.format.data_files import NotPlainError, check_plain
from freshet.tables.format.sql import literal
from freshet.tables.lookups.snapshot import column_ends
from freshet.tables.warehouse import Warehouse

_DAY_SECONDS = 86_400.0


def highest_partition(warehouse: Warehouse, contract: TableContract, column: str) -> int | None:
    """The highest value of a whole-number partition column from the log alone; None when the table has no files."""
    values = _files(warehouse, contract).column(f"partition.{column}") if _has_files(warehouse, contract) else None
    return None if values is None else int(pc.max(values).as_py())


def oldest_file(warehouse: Warehouse, contract: TableContract) -> datetime | None:
    """When the oldest live file was written, UTC without a zone; None when the table has no files."""
    if not _has_files(warehouse, contract):
        return None
    milliseconds = pc.min(_files(warehouse, contract).column("modification_time")).as_py()
    return datetime.fromtimestamp(milliseconds / 1000, UTC).replace(tzinfo=None)


def drop_partitions(warehouse: Warehouse, contract: TableContract, column: str, *, up_to: int) -> int:
    """Drops the rows whose whole-number partition value is `up_to` or lower; returns the number of files that held
    them.

    One commit that names files and opens none; none where there are no such files. The files stay on disk for
    readers of older versions until a vacuum.
    """
    if not _has_files(warehouse, contract):
        return 0
    if pc.min(_files(warehouse, contract).column(f"partition.{column}")).as_py() > up_to:
        return 0
    metrics = DeltaTable(warehouse.path(contract)).delete(f"{column} <= {up_to}")
    return int(metrics["num_removed_files"])


def partition_values(warehouse: Warehouse, contract: TableContract, column: str) -> list[Any]:
    """The values of a partition column in rising order, from the log alone: texts, or times in UTC without a zone."""
    if not _has_files(warehouse, contract):
        return []
    values = pc.unique(_files(warehouse, contract).column(f"partition.{column}")).to_pylist()
    plain = [value.astimezone(UTC).replace(tzinfo=None) if isinstance(value, datetime) else value for value in values]
    return sorted(plain)


def drop_values(warehouse: Warehouse, contract: TableContract, column: str, values: Sequence[Any]) -> int:
    """Drops the partitions of these values, as `partition_values` gives them; returns the number of files that held
    them.

    One commit that names files and opens none; none where there are no values.
    """
    if not values:
        return 0
    texts = [f"{value:%Y-%m-%dT%H:%M:%S.%fZ}" if isinstance(value, datetime) else value for value in values]
    table = DeltaTable(warehouse.path(contract))
    metrics = table.delete(" OR ".join(f"{column} = {literal(text)}" for text in texts))
    return int(metrics["num_removed_files"])


def pack(warehouse: Warehouse, contract: TableContract, *, target_mb: int, from_files: int) -> int:
    """Rewrites small files as few of about `target_mb`, in their order; returns the number of files that were replaced.

    Does nothing before there are `from_files` of them, so that packed files are not packed again in every call. One bin
    is open at a time, which bounds the memory. The rows, and what a stream reads from the table, do not change.
    """
    if not _has_files(warehouse, contract):
        return 0
    size = target_mb << 20
    is_small = pc.less(_files(warehouse, contract).column("size_bytes"), size // 2)
    if int(pc.sum(is_small).as_py()) < from_files:
        return 0
    table = DeltaTable(warehouse.path(contract))
    try:
        return int(table.optimize.compact(target_size=size, max_concurrent_tasks=1)["numFilesRemoved"])
    except CommitFailedError:
        # Another writer has removed some of them: the next call packs what is left.
        return 0


def forget(
    warehouse: Warehouse, contract: TableContract, column: str, *, days: int, but_last_of: Sequence[str] = ()
) -> int:
    """Deletes rows whose time is more than `days` before the table's newest, in whole days; returns their number.

    Ages are relative to the newest row of the table, not the wall time: a replay of earlier days keeps what it has just
    written. With `but_last_of` (group, number) the row with the highest number of each group is kept at any age.
    """
    ends = column_ends(warehouse.folder, contract, column)
    if ends is None:
        return 0
    cut = (ends[1] - timedelta(days=days)).replace(hour=0, minute=0, second=0, microsecond=0)
    if ends[0] >= cut:
        return 0
    where = f"{column} < '{cut.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}'"
    table = DeltaTable(warehouse.path(contract))
    if but_last_of:
        group, number = but_last_of
        query = f"SELECT {group} AS one, MAX({number}) AS last FROM kept GROUP BY {group}"
        last = pa.table(QueryBuilder().register("kept", table).execute(query).read_all()).to_pylist()
        kept = [f"({group} = {literal(row['one'])} AND {number} = {row['last']})" for row in last]
        where += f" AND NOT ({' OR '.join(kept)})"
    try:
        return int(table.delete(where).get("num_deleted_rows") or 0)
    except CommitFailedError:
        # Figures have two writers: the other one was faster, and the next call deletes what this one would have.
        return 0


def vacuum(warehouse: Warehouse, contract: TableContract, *, hours: int) -> int:
    """Removes files that no version of the last `hours` uses, also those of killed writes; returns their number.

    Removes nothing from a table with features beyond plain files: deletion vectors are files of their own, which would
    be mistaken for unused ones."""
    table, root = DeltaTable(warehouse.path(contract)), Path(warehouse.path(contract))
    try:
        check_plain(table)
    except NotPlainError:
        return 0
    # A light vacuum relies on the log, which drops removed files after a while: what it missed would stay for ever.
    named = table.vacuum(hours, dry_run=True, enforce_retention_duration=False, full=True)
    # Hidden files are Spark's checksums; and the log lists removed files long after they were deleted.
    unused = [root / name for name in named if not Path(name).name.startswith(".") and (root / name).is_file()]
    if unused:
        table.vacuum(hours, dry_run=False, enforce_retention_duration=False, full=True)
    for file in unused:
        _spark_checksum(file).unlink(missing_ok=True)
    return len(unused)


def remove_empty_partitions(warehouse: Warehouse, contract: TableContract, column: str, *, below: int) -> int:
    """Removes the empty folders of whole-number partitions below a value that is no longer written."""
    removed = 0
    for folder in Path(warehouse.path(contract)).glob(f"{column}=*"):
        value = re.fullmatch(rf"{column}=(\d+)", folder.name)
        if value and int(value[1]) < below and not any(folder.iterdir()):
            folder.rmdir()
            removed += 1
    return removed


def shorten_log(warehouse: Warehouse, contract: TableContract) -> None:
    """Writes a checkpoint and removes earlier entries of the log that are beyond the table's retention."""
    table = DeltaTable(warehouse.path(contract))
    table.create_checkpoint()
    table.cleanup_metadata()
    log = Path(warehouse.path(contract)) / "_delta_log"
    oldest = min(file.name for file in log.glob("*.json"))
    for file in log.glob("*.crc"):
        if file.name.lstrip(".") < oldest.removesuffix(".json"):
            file.unlink(missing_ok=True)
    oldest_time = (log / oldest).stat().st_mtime
    for file in log.glob("_commit_*.tmp"):
        # Of a commit that was killed before it was in the log; files of running commits are newer.
        with suppress(FileNotFoundError):
            if file.stat().st_mtime < oldest_time - _DAY_SECONDS:
                file.unlink()


def _spark_checksum(file: Path) -> Path:
    """The hidden file that Spark writes next to each of its files on a local disk, and that only Spark would remove."""
    return file.with_name(f".{file.name}.crc")


def _has_files(warehouse: Warehouse, contract: TableContract) -> bool:
    return warehouse.exists(contract) and _files(warehouse, contract).num_rows > 0


def _files(warehouse: Warehouse, contract: TableContract) -> pa.Table:
    return pa.table(DeltaTable(warehouse.path(contract)).get_add_actions(flatten=True))
