"""Appends whose cost does not grow with the table: data files, then one commit under the next free number of the log.

A library that appends to a table opens it with all its files, and again after the commit: 0.13 ms for each file, so
that after 300 small commits one takes 53 ms instead of 12. Delta's protocol requires little of an append that reads
nothing: new files, and the next entry of the log, which only one writer may create. Here that is a hard link, which the
kernel refuses if the name exists, as the libraries' own commits on a local disk do it.
"""

import json
import logging
import os
import threading
import uuid
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from freshet.contracts import TableContract
from freshet.core.errors import TransientError
from freshet.tables.format.arrow_rows import checked
from freshet.tables.format.columns import table_folder
from freshet.tables.format.data_files import NotPlainError, written_file
from freshet.tables.writers.interface import Transaction
from freshet.tables.writers.known_log import KnownLog, entry_file, stamp_if_there, stamp_of

_log = logging.getLogger(__name__)

_logs: dict[Path, KnownLog] = {}
"""By folder, the logs of the tables to which this process has appended."""

_turns: defaultdict[Path, threading.Lock] = defaultdict(threading.Lock)
"""Threads of this process commit to a table one at a time."""


class BlindWriter:
    """Appends to the tables of the warehouse in `folder`, on a local disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def append(self, rows: pa.Table, *, contract: TableContract, transaction: Transaction | None = None) -> bool:
        """As TableWriter. Raises NotPlainError as `append_blind`."""
        sound = checked(rows, contract)
        if not sound.num_rows:
            return False
        return append_blind(table_folder(self.folder, contract), sound, contract, transaction) is not None


def append_blind(
    folder: Path, rows: pa.Table, contract: TableContract, transaction: Transaction | None = None
) -> int | None:
    """Appends rows, in the columns and types of the contract, to the table in `folder`; returns the version that has
    them, None if the table has the transaction already.

    One data file for each value of the partition columns, which must be texts or whole numbers. Raises ContractError
    if the table has other columns, NotPlainError if it has features beyond plain files and log entries; the table is
    then unchanged.
    """
    place = folder / "_delta_log"
    with _turns[place]:
        log = _known_log(place, contract)
        if log.has(transaction):
            return None
    actions = [written_file(folder, part, values, contract) for values, part in _parts(rows, contract)]
    with _turns[place]:
        version = _committed(log, actions, contract, transaction)
    if version is None:
        return None
    if (version + 1) % log.commits_per_checkpoint == 0:
        # In the background: its cost does grow with the table.
        threading.Thread(target=_write_checkpoint, args=(folder,), name=f"checkpoint-{contract.name}").start()
    return version


def _write_checkpoint(folder: Path) -> None:
    try:
        DeltaTable(folder).create_checkpoint()
    except (DeltaError, OSError) as error:
        # The log is complete without it, and the next checkpoint has the same content.
        _log.warning("no checkpoint of %s: %s", folder.name, error)


def _known_log(folder: Path, contract: TableContract) -> KnownLog:
    log = _logs.get(folder)
    if log is None:
        log = _logs[folder] = KnownLog.of(folder, contract)
    log.follow(contract)
    return log


def _parts(rows: pa.Table, contract: TableContract) -> Iterator[tuple[dict[str, Any], pa.Table]]:
    """(values of the partition columns, the rows that have them)."""
    names = list(contract.partition_by)
    if not names:
        yield {}, rows
        return
    for values in rows.select(names).group_by(names).aggregate([]).to_pylist():
        if any(not isinstance(value, str | int | None) or isinstance(value, bool) for value in values.values()):
            raise NotPlainError
        mine = rows
        for name, value in values.items():
            column = mine.column(name)
            mine = mine.filter(pc.is_null(column) if value is None else pc.equal(column, value))
        yield values, mine


def _committed(
    log: KnownLog, actions: list[dict[str, Any]], contract: TableContract, transaction: Transaction | None
) -> int | None:
    """The version of the commit; None if another writer has committed the transaction, so that the files stay
    unused."""
    parameters = {"mode": "Append", "partitionBy": json.dumps(list(contract.partition_by))}
    moment = max(action["modificationTime"] for action in actions)
    info = {
        "timestamp": moment, "operation": "WRITE", "operationParameters": parameters,
        "isBlindAppend": True, "engineInfo": "freshet",
    }  # fmt: skip
    lines = [{"commitInfo": info}, *({"add": action} for action in actions)]
    if transaction is not None:
        named = {"appId": transaction.application, "version": transaction.number, "lastUpdated": moment}
        lines.insert(1, {"txn": named})
    part = log.folder / f"_commit_{uuid.uuid4()}.json.tmp"
    try:
        part.write_text("\n".join(json.dumps(line) for line in lines), encoding="utf-8")
        while True:
            log.follow(contract)
            if log.has(transaction):
                return None
            entry = entry_file(log.folder, log.version + 1)
            try:
                os.link(part, entry)
            except FileExistsError:
                continue
            # A writer that first checks and then renames may have replaced this entry with its own.
            if stamp_if_there(entry) in (stamp_of(part), None):
                break
        # The name was free. Either no version has had it, or its version was removed with all earlier ones, which
        # requires a later checkpoint: then no reader will ever read this entry.
        if not log.is_known() or log.has_checkpoint_after(log.version + 1):
            _check_in_table(log, actions)
        log.version, log.stamp = log.version + 1, stamp_of(part)
        if transaction is not None:
            log.transactions[transaction.application] = transaction.number
    finally:
        part.unlink(missing_ok=True)
    return log.version


def _check_in_table(log: KnownLog, actions: list[dict[str, Any]]) -> None:
    """Raises TransientError if the table does not have the files of the newest entry.

    They are not committed again: if another writer has packed them since, their rows would be there twice. A query that
    starts again checks which rows the table has.
    """
    table = DeltaTable(log.folder.parent)
    listed = set(pa.table(table.get_add_actions()).column("path").to_pylist())
    if all(action["path"] in listed for action in actions):
        return
    _logs.pop(log.folder, None)
    if not log.is_known():
        entry_file(log.folder, log.version + 1).unlink(missing_ok=True)
    raise TransientError(
        "the log of the table was cleaned up while rows were being appended", where=f"table {log.folder.parent.name}",
        do="Start again: nothing is lost or doubled",
    )  # fmt: skip
