"""A micro-batch of the lists: those of the shoppers it touched, appended in one commit, and a row of figures."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame

from freshet.contracts import RECOMMENDATION_UPDATES, STREAM_METRICS
from freshet.service.lists.history_store import HistoryStore
from freshet.service.lists.history_updates import apply_events
from freshet.service.lists.list_making import Scorer, ServedModel, Stamp, lists_of, received
from freshet.tables.small_writes import append_arrow, append_row
from freshet.tables.transactions import newest_batch
from freshet.tables.warehouse import Warehouse


@dataclass(frozen=True)
class ListMaking:
    """How the lists of one query are made.

    `model` is called once per micro-batch, so that one model makes all its lists, and so is `epoch`, the number of the
    compaction that will merge the lists. `now` returns the wall time, UTC without a zone. `is_live`: events arrive as
    they happen, so that the time since their receipt is a latency. `backlog` returns the number of records that wait in
    the source, None where that is unknown.
    """

    scorer: Scorer
    model: Callable[[], ServedModel]
    length: int
    now: Callable[[], datetime]
    epoch: Callable[[], int] = lambda: 0
    is_live: bool = False
    backlog: Callable[[], int | None] = lambda: None


@dataclass
class ListUpdates:
    """The function that a stream of STREAM_EVENT rows calls for each micro-batch.

    Both tables must exist. The source limits the size of a micro-batch: its events, and the lists they cause, are in
    the memory of this process. A micro-batch that is repeated after a crash adds no row twice and, with the same
    `model`, makes the same rows except for `generated_at`. The error that ended a micro-batch is kept in `failure`,
    since the query passes on only its text.
    """

    folder: Path
    query_id: str
    store: HistoryStore
    making: ListMaking
    failure: Exception | None = field(default=None, init=False)
    _newest: tuple[int, int] | None = field(default=None, init=False)

    def __call__(self, events: DataFrame, batch_id: int) -> None:
        """Appends the lists and the figures of a micro-batch, unless their tables hold them already."""
        try:
            self._run(events, batch_id)
        except Exception as error:
            self.failure = error
            raise

    def _run(self, events: DataFrame, batch_id: int) -> None:
        making, started = self.making, self.making.now()
        # The session of a micro-batch is a clone of the query's; settings of other sessions do not apply to it.
        warehouse = Warehouse(events.sparkSession, self.folder)
        lists_until, figures_until = self._newest_written(warehouse)
        touched = apply_events(self.store, events.toArrow(), batch_id)
        clock = self.store.clock
        if not touched.shoppers or clock is None:
            return
        stamp = Stamp(self.query_id, batch_id, started, making.model(), making.epoch())
        unknown = 0
        if touched.due.num_rows:
            lists = lists_of(touched.due, self.store, stamp, clock, scorer=making.scorer, length=making.length)
            unknown = pc.sum(lists.column("unknown_items")).as_py()
            if batch_id > lists_until:
                append_arrow(warehouse, lists.drop_columns("unknown_items"), RECOMMENDATION_UPDATES)
        if batch_id <= figures_until:
            return
        finished = making.now()
        figures = {
            "query_id": self.query_id,
            "batch_id": batch_id,
            "job": "lists",
            "finished_at": finished,
            "event_clock": clock,
            **self._latency(finished, touched.due),
            "touched_shoppers": touched.shoppers,
            "lists": touched.due.num_rows,
            "unknown_items": unknown,
            "state_shoppers": self.store.shoppers,
            "backlog": making.backlog(),
            "seconds": (finished - started).total_seconds(),
            "model_version": stamp.model.version,
        }
        append_row(warehouse, figures, STREAM_METRICS)

    def _latency(self, finished: datetime, due: pa.Table) -> dict[str, float]:
        """Percentiles of the time since events were received; empty for a replay of earlier events."""
        if not self.making.is_live or not due.num_rows:
            return {}
        seconds = [(finished - moment).total_seconds() for moment in received(due)]
        return {"latency_p50_s": seconds[0], "latency_p95_s": seconds[1]}

    def _newest_written(self, warehouse: Warehouse) -> tuple[int, int]:
        """The newest micro-batches whose lists, and whose figures, had been written when this process started."""
        if self._newest is None:
            tables = (RECOMMENDATION_UPDATES, STREAM_METRICS)
            lists, figures = (newest_batch(warehouse, table, self.query_id) for table in tables)
            self._newest = lists, figures
        return self._newest
