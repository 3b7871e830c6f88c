"""The interface by which rows get into tables, whatever engine writes them.

Each engine checks the rows by the contract before it commits, and a write is one commit or none:

- `spark.SparkWriter`: frames of any size; 0.3 s for an append, 2 s for a replacement.
- `delta_rs.DeltaRsWriter`: Arrow rows in the memory of this process; 12 ms, and 0.13 ms more for each file of
  the table.
- `blind_append.BlindWriter`: appends of Arrow rows at a cost that does not grow with the table.
- `worker_files.WorkerWriter`: frames whose rows Spark's workers make as Arrow batches and write themselves.
- `replacements.PartWriter`: replaces a whole table, with one Arrow table at a time in memory.

`small_writes.append_arrow` chooses between the second and the third.
"""

from dataclasses import dataclass
from typing import Protocol, TypeVar

from freshet.contracts import TableContract


@dataclass(frozen=True)
class Transaction:
    """The name of a commit. The numbers of an `application` increase; a commit whose number is not above those in the
    table is not made again."""

    application: str
    number: int


Rows_contra = TypeVar("Rows_contra", contravariant=True)


class TableWriter(Protocol[Rows_contra]):
    """An engine that adds rows to tables of a warehouse."""

    def append(self, rows: Rows_contra, *, contract: TableContract, transaction: Transaction | None = None) -> bool:
        """Adds rows to a table in one commit; the table must exist.

        False if the table has this transaction already, or if there are no rows, as far as the engine knows that
        beforehand. Without a transaction the caller ensures that a repeat does not add rows twice. Raises
        ContractError if a row breaks a rule of the contract or repeats a key; then nothing is committed.
        """
        ...


class TableReplacer(Protocol[Rows_contra]):
    """An engine that replaces all rows of tables of a warehouse."""

    def replace(self, rows: Rows_contra, *, contract: TableContract) -> int | None:
        """Replaces the rows of a table in one commit; returns their number if the engine knows it.

        Repeating it leaves the same table. Raises ContractError as `TableWriter.append`.
        """
        ...
