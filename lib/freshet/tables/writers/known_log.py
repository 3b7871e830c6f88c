"""What this process knows of the log of a table to which it appends, so that no append opens the table."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from deltalake import DeltaTable
from pyspark.sql.types import StructType

from freshet.contracts import TableContract
from freshet.tables.format.data_files import check_plain
from freshet.tables.writers.interface import Transaction

_COMMITS_PER_CHECKPOINT = 100
"""If the table has no such property."""

_REOPENS = ('{"metaData"', '{"protocol"')
_TRANSACTION = '{"txn"'


@dataclass
class KnownLog:
    """The newest known entry of a table's log, and what the next commits need to know."""

    folder: Path
    version: int
    stamp: tuple[int, int]
    commits_per_checkpoint: int
    transactions: dict[str, int | None] = field(default_factory=dict)
    """The newest transaction of each application that was looked up."""

    @staticmethod
    def of(folder: Path, contract: TableContract) -> "KnownLog":
        table = DeltaTable(folder.parent)
        contract.check_schema(StructType.fromJson(json.loads(table.schema().to_json())))
        check_plain(table)
        interval = int(table.metadata().configuration.get("delta.checkpointInterval", _COMMITS_PER_CHECKPOINT))
        version = table.version()
        return KnownLog(folder, version, stamp_of(entry_file(folder, version)), interval)

    def is_known(self) -> bool:
        """False if the log was cleaned up to here, or if another table has replaced this one."""
        return stamp_if_there(entry_file(self.folder, self.version)) == self.stamp

    def has_checkpoint_after(self, version: int) -> bool:
        """Whether another writer has written a checkpoint of a later version, or is just recording one."""
        try:
            return int(json.loads((self.folder / "_last_checkpoint").read_bytes())["version"]) > version
        except FileNotFoundError:
            return False
        except ValueError:
            return True

    def has(self, transaction: Transaction | None) -> bool:
        """Whether the log, as far as it is known, has a transaction or a later one of its application."""
        if transaction is None:
            return False
        application = transaction.application
        if application not in self.transactions:
            table = DeltaTable(self.folder.parent, version=self.version)
            self.transactions[application] = table.transaction_version(application)
        newest = self.transactions[application]
        return newest is not None and newest >= transaction.number

    def follow(self, contract: TableContract) -> None:
        """Reads the log up to its newest entry; opens the table again if an entry has changed more than rows, or if the
        log is not the known one."""
        if not self.is_known():
            vars(self).update(vars(KnownLog.of(self.folder, contract)))
        while (entry := entry_file(self.folder, self.version + 1)).is_file():
            with entry.open(encoding="utf-8") as opened:
                lines = [line for line in opened if line.startswith((*_REOPENS, _TRANSACTION))]
            if any(line.startswith(_REOPENS) for line in lines):
                vars(self).update(vars(KnownLog.of(self.folder, contract)))
                return
            for transaction in (json.loads(line)["txn"] for line in lines):
                if transaction["appId"] in self.transactions:
                    self.transactions[transaction["appId"]] = transaction["version"]
            self.version, self.stamp = self.version + 1, stamp_of(entry)


def entry_file(folder: Path, version: int) -> Path:
    """The file of a version's entry in the log `folder`."""
    return folder / f"{version:020d}.json"


def stamp_if_there(file: Path) -> tuple[int, int] | None:
    """`stamp_of` a file, None if it does not exist."""
    try:
        return stamp_of(file)
    except FileNotFoundError:
        return None


def stamp_of(file: Path) -> tuple[int, int]:
    """What distinguishes a file from another one that replaces it."""
    status = file.stat()
    return status.st_ino, status.st_mtime_ns
