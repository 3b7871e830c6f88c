"""Arrow rows written by delta-rs, without Spark. Every write opens the table, with all its files in the log."""

import threading
from pathlib import Path

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, write_deltalake
from deltalake import Transaction as LogTransaction
from deltalake.exceptions import CommitFailedError

from freshet.contracts import TableContract
from freshet.tables.format.arrow_rows import checked
from freshet.tables.format.columns import made_or_widened, table_folder
from freshet.tables.writers.interface import Transaction

_replacing = threading.Lock()
"""Steps that run in parallel replace rows of the same table: the second must read the commit of the first."""


class DeltaRsWriter:
    """Writes to the tables of the warehouse in `folder`, on a local disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def append(self, rows: pa.Table, *, contract: TableContract, transaction: Transaction | None = None) -> bool:
        """As TableWriter."""
        sound = checked(rows, contract)
        table = table_folder(self.folder, contract)
        if not sound.num_rows or has_transaction(table, transaction):
            return False
        try:
            write_deltalake(table, sound, mode="append", commit_properties=commit_properties(transaction))
        except CommitFailedError:
            # The same transaction of another process may have come first.
            if not has_transaction(table, transaction):
                raise
            return False
        return True

    def replace(self, rows: pa.Table, *, contract: TableContract, where: str | None = None) -> int:
        """As TableReplacer, or replaces only the rows that meet the SQL condition `where`. Creates a missing table."""
        sound = checked(rows, contract)
        with _replacing:
            made_or_widened(self.folder, contract)
            write_deltalake(table_folder(self.folder, contract), sound, mode="overwrite", predicate=where)
        return int(sound.num_rows)


def commit_properties(transaction: Transaction | None) -> CommitProperties | None:
    """The transaction in the form that delta-rs takes."""
    if transaction is None:
        return None
    return CommitProperties(app_transactions=[LogTransaction(transaction.application, transaction.number)])


def has_transaction(table: Path, transaction: Transaction | None) -> bool:
    """Whether the table in this folder has the transaction, or a later one of the same application."""
    if transaction is None:
        return False
    newest = DeltaTable(table).transaction_version(transaction.application)
    return newest is not None and newest >= transaction.number
