"""A micro-batch of records about items: states of items are written to `items_history`, refused records to
`quarantine`.

A state is identified by item and moment, a refused record by its place, as long as quarantine keeps it. So repeating a
micro-batch, or reading a topic from its start again, changes nothing.
"""

from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame

from freshet.cleaning.items import STATE
from freshet.contracts import ITEMS_HISTORY, QUARANTINE, STREAM_METRICS
from freshet.service.intake.intake_rows import intake_figures, refused_rows
from freshet.service.intake.item_records import histories_with, recorded_states, same_rows
from freshet.service.intake.known_records import StoredPlaces
from freshet.tables.maintenance.upkeep import Upkeep
from freshet.tables.small_writes import append_arrow, append_row, replace_all_of
from freshet.tables.transactions import newest_batch
from freshet.tables.warehouse import Warehouse


@dataclass
class ItemIntake:
    """The function that a stream of `item_records.item_messages` calls for each micro-batch. The tables must exist.

    The source limits the size of a micro-batch: its items, with the history of each, are in the memory of this process.
    `items_history` has other writers, so it is `leased` for each write and for its `upkeep`. `source`: name of the
    mapping; `now`: wall time, UTC without a zone; `backlog`: number of records that wait, None where it is unknown.
    """

    folder: Path
    leased: Callable[[], AbstractContextManager[None]]
    query_id: str
    source: str
    now: Callable[[], datetime]
    upkeep: Upkeep
    backlog: Callable[[], int | None] = lambda: None
    _stored_places: StoredPlaces | None = field(default=None, init=False)
    _figures_until: int = field(default=-1, init=False)

    def __call__(self, messages: DataFrame, batch_id: int) -> None:
        """Writes the states and refusals of a micro-batch, then a row of figures."""
        began = self.now()
        # The session of a micro-batch is a clone of the query's; settings of other sessions do not apply to it.
        warehouse = Warehouse(messages.sparkSession, self.folder)
        messages.persist()
        try:
            found = messages.drop(*STATE).toArrow()
            if not found.num_rows:
                return
            if self._stored_places is None:
                self._figures_until = newest_batch(warehouse, STREAM_METRICS, self.query_id)
                self._stored_places = StoredPlaces.of(warehouse, self.source)
            refused = found.filter(pc.is_valid(found.column("reason_code")))
            append_arrow(warehouse, self._new_refusals(warehouse, refused), QUARANTINE)
            if refused.num_rows < found.num_rows:
                self._write_states(warehouse, recorded_states(messages))
        finally:
            messages.unpersist()
        if batch_id > self._figures_until:
            self._keep_figures(warehouse, batch_id, began, found)

    def _new_refusals(self, warehouse: Warehouse, refused: pa.Table) -> pa.Table:
        """Rows of QUARANTINE for the refused records that are not there yet."""
        assert self._stored_places is not None
        if refused.num_rows:
            _, is_stored = self._stored_places.of_batch(warehouse, refused)
            refused = refused.filter(pa.array(~is_stored))
        return refused_rows(refused.append_column("source", pa.repeat(self.source, refused.num_rows)))

    def _write_states(self, warehouse: Warehouse, states: DataFrame) -> None:
        with self.leased():
            self.upkeep.between_batches()
            stored = warehouse.read(ITEMS_HISTORY)
            after = histories_with(states, stored).toArrow()
            before = stored.join(states.select("item_id").distinct(), on="item_id", how="left_semi").toArrow()
            # Shops often send unchanged states, and every commit makes all readers read the table again.
            if not same_rows(after, before.select(after.column_names)):
                replace_all_of(warehouse, after, ITEMS_HISTORY, "item_id")

    def _keep_figures(self, warehouse: Warehouse, batch_id: int, began: datetime, found: pa.Table) -> None:
        finished = self.now()
        reasons = Counter(found.column("reason_code").drop_null().to_pylist())
        newest = pc.max(found.column("arrived")).as_py()
        figures = {
            "query_id": self.query_id,
            "batch_id": batch_id,
            "job": "items",
            "event_clock": newest.replace(tzinfo=None),
            "backlog": self.backlog(),
            **intake_figures(found.num_rows, reasons, began=began, finished=finished),
        }
        append_row(warehouse, figures, STREAM_METRICS)
