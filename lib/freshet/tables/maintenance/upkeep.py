"""Upkeep of the tables to which micro-batches append: small files are packed, old rows deleted, unused files
removed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from freshet.contracts import EVALUATION_RESULTS, EVENTS, QUARANTINE, STREAM_METRICS, TableContract
from freshet.tables.maintenance import operations
from freshet.tables.maintenance.background import Packing, pack
from freshet.tables.maintenance.parameters import CompactionParameters
from freshet.tables.warehouse import Warehouse


@dataclass(frozen=True)
class UpkeepReport:
    """What the upkeep of one table did."""

    table: str
    rows_forgotten: int
    files_packed: int
    files_removed: int


class Upkeep:
    """The upkeep of `tables` by the process that writes them, between its micro-batches, a table at a time.

    Each table has its turn once in `tidy_minutes`, the first immediately after a start. Small files are packed as soon
    as there may be enough of them, `in_background` of the next micro-batches or at once."""

    def __init__(
        self,
        warehouse: Warehouse,
        tables: Sequence[TableContract],
        parameters: CompactionParameters,
        now: Callable[[], datetime],
        *,
        in_background: bool = True,
    ) -> None:
        self.warehouse, self.tables, self.parameters, self.now = warehouse, tuple(tables), parameters, now
        self._turn = 0
        self._packing = Packing(warehouse, tables, parameters, in_background=in_background)
        self._next = now()

    def between_batches(self) -> UpkeepReport | None:
        """Tidies the table whose turn it is; None if no table is due."""
        if self._packing.is_packing():
            return None
        report = self._tidied() if self.tables and self.now() >= self._next else None
        self._packing.start_if_due()
        return report

    def _tidied(self) -> UpkeepReport:
        table = self.tables[self._turn % len(self.tables)]
        self._turn += 1
        self._next = self.now() + timedelta(minutes=self.parameters.tidy_minutes / len(self.tables))
        return tidy(self.warehouse, table, self.parameters)

    def end_packing(self) -> None:
        """Waits for a running packing."""
        self._packing.close()


def tidy(warehouse: Warehouse, table: TableContract, parameters: CompactionParameters) -> UpkeepReport:
    """All upkeep of one table; nothing where the table does not exist."""
    if not warehouse.exists(table):
        return UpkeepReport(table.name, 0, 0, 0)
    forgotten = 0
    if table is STREAM_METRICS:
        # After a start the last row of a query says whether its micro-batch was written, and gives the event clock.
        forgotten = operations.forget(
            warehouse, table, "finished_at", days=parameters.metrics_days, but_last_of=("query_id", "batch_id")
        )
    elif table is QUARANTINE:
        forgotten = operations.forget(warehouse, table, "first_seen", days=parameters.quarantine_days)
    packed = pack(warehouse, table, parameters)
    removed = operations.vacuum(warehouse, table, hours=_hours(table, parameters))
    if forgotten or packed or removed:
        operations.shorten_log(warehouse, table)
    return UpkeepReport(table.name, forgotten, packed, removed)


def remove_unread(warehouse: Warehouse, tables: Sequence[TableContract], parameters: CompactionParameters) -> None:
    """Removes files left by replaced versions of tables, and by killed or repeated tasks.

    For a process that holds the tables' leases and is not writing them.
    """
    for table in tables:
        if warehouse.exists(table):
            operations.vacuum(warehouse, table, hours=_hours(table, parameters))


def forget_old_dates(
    warehouse: Warehouse, tables: Sequence[TableContract], parameters: CompactionParameters, *, current: datetime
) -> None:
    """Removes the rows of old dates from tables that are partitioned by `as_of`: the newest `feature_dates` stay, and
    the `current` one (UTC, without zone), which a later step may read although it is older.

    For a process that holds the tables' leases and is not writing them.
    """
    for table in tables:
        if "as_of" in table.partition_by:
            dates = operations.partition_values(warehouse, table, "as_of")
            old = [date for date in dates[: -parameters.feature_dates] if date != current]
            operations.drop_values(warehouse, table, "as_of", old)


def _hours(table: TableContract, parameters: CompactionParameters) -> int:
    """How long files are kept after the last version that used them."""
    hours = parameters.events_vacuum_hours if table is EVENTS else parameters.vacuum_hours
    # There may be a file of another writer whose commit is about to follow.
    return max(hours, 1) if table in _OF_TWO_WRITERS else hours


_OF_TWO_WRITERS = (STREAM_METRICS, QUARANTINE, EVALUATION_RESULTS)
"""Tables that several queries, or steps in parallel, write to at the same time."""
