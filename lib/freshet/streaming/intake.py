"""What happens in a micro-batch of the intake: every record ends in exactly one row of `events` or `quarantine`.

A record is known by its place (source, partition, offset), which both tables keep. So nothing beside the tables has to
be remembered to be exact: after a start, records whose place stands in a table are left out, whether the checkpoint
was behind by a micro-batch or is lost altogether.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyspark.sql import DataFrame

from freshet.contracts import EVENTS, QUARANTINE, STREAM_METRICS
from freshet.storage.small_writes import append_collected, append_row
from freshet.storage.stamps import newest_batch
from freshet.storage.tables import Warehouse
from freshet.streaming.arrivals import RESENT, STANDS, accepted, facts, refused, verdicts
from freshet.streaming.recent_keys import Keys, RecentKeys, repeats_within
from freshet.streaming.standing import StandingPlaces, recent_keys


@dataclass(frozen=True)
class IntakeRules:
    """How the records of the source named `source` are taken in.

    An event id is remembered for at least `repeat_window` after its receipt. Micro-batches of more than
    `most_collected` records are written by Spark instead of through the driver. `now` gives the wall time, UTC without
    a zone.
    """

    source: str
    repeat_window: timedelta
    most_collected: int
    now: Callable[[], datetime]


@dataclass
class EventIntake:
    """The function that a stream of streaming.arrivals calls for each micro-batch. The tables must exist.

    A record stands in a table once, whatever is killed when: of records with one event id the first by arrival
    becomes an event, later ones are `resent`. The error that ended a micro-batch stays in `failure`.
    """

    folder: Path
    query_id: str
    rules: IntakeRules
    failure: Exception | None = field(default=None, init=False)
    _standing: StandingPlaces | None = field(default=None, init=False)
    _recent: RecentKeys = field(default_factory=RecentKeys, init=False)
    _figures_until: int = field(default=-1, init=False)
    _clock: datetime | None = field(default=None, init=False)

    def __call__(self, records: DataFrame, batch_id: int) -> None:
        """Appends the refused, then the accepted records of a micro-batch, then a row of figures."""
        try:
            self._run(records, batch_id)
        except Exception as error:
            self.failure = error
            raise

    def _run(self, records: DataFrame, batch_id: int) -> None:
        began = self.rules.now()
        # The session of a micro-batch is a clone of the query's; settings of any other do not reach it.
        warehouse = Warehouse(records.sparkSession, self.folder)
        records.persist()
        try:
            found = facts(records).toArrow()
            if not found.num_rows:
                return
            told, reasons = self._told(warehouse, found)
            self._write(warehouse, records, told, found.num_rows)
            self._keep_figures(warehouse, batch_id, began, found, reasons)
        finally:
            records.unpersist()

    def _told(self, warehouse: Warehouse, found: pa.Table) -> tuple[pa.Table, dict[str, int]]:
        """(source_partition, source_offset, told) of records that stand or are sent again; refused ones by reason."""
        if self._standing is None:
            self._figures_until = newest_batch(warehouse, STREAM_METRICS, self.query_id)
            self._standing = StandingPlaces.of(warehouse, self.rules.source)
            self._recent = recent_keys(warehouse, self.rules.source, found, self.rules.repeat_window)
        as_events, as_refused = self._standing.of_batch(warehouse, found)
        keys = np.stack([found.column(name).to_numpy() for name in ("first", "second")], axis=1)
        sound = pc.is_null(found.column("reason_code")).to_numpy()
        again = sound & as_refused  # it was sound and was refused: as one that was sent again
        open_ = sound & ~again
        again[open_] = repeats_within(keys[open_], _place_order(found)[open_])
        again |= open_ & self._recent.seen(keys)
        again &= ~as_events
        self._remember(keys[sound & ~again], found.filter(pa.array(sound & ~again)))
        stands = as_events | as_refused
        told = found.select(["source_partition", "source_offset"]).append_column(
            "told", pa.array(np.where(stands, STANDS, RESENT))
        )
        reasons = Counter(found.column("reason_code").drop_null().to_pylist())
        if again.any():
            reasons[RESENT] = int(again.sum())
        return told.filter(pa.array(stands | again)), reasons

    def _remember(self, keys: Keys, accepted_facts: pa.Table) -> None:
        if accepted_facts.num_rows:
            newest = pc.max(accepted_facts.column("received_time")).as_py().replace(tzinfo=None)
            self._recent.add(keys, newest)
            self._recent.forget(newest - self.rules.repeat_window)

    def _write(self, warehouse: Warehouse, records: DataFrame, told: pa.Table, size: int) -> None:
        session = warehouse.spark
        judged = verdicts(records, session.createDataFrame(told) if told.num_rows else None)
        for rows, contract in ((refused(judged), QUARANTINE), (accepted(judged), EVENTS)):
            if size > self.rules.most_collected:
                warehouse.append(rows, contract)
            else:
                append_collected(warehouse, rows, contract)

    def _keep_figures(
        self, warehouse: Warehouse, batch_id: int, began: datetime, found: pa.Table, reasons: dict[str, int]
    ) -> None:
        if batch_id <= self._figures_until:
            return
        finished = self.rules.now()
        sound = found.filter(pc.is_null(found.column("reason_code")))
        newest = pc.max(sound.column("event_time")).as_py()
        if newest is not None:
            moment = newest.replace(tzinfo=None)
            self._clock = moment if self._clock is None else max(moment, self._clock)
        refused_records = sum(reasons.values())
        figures: dict[str, Any] = {
            "query_id": self.query_id,
            "batch_id": batch_id,
            "job": "events",
            "finished_at": finished,
            "event_clock": self._clock,
            "input": found.num_rows,
            "accepted": found.num_rows - refused_records,
            "quarantined": reasons,
            "touched_shoppers": 0,
            "lists": 0,
            "unknown_items": 0,
            "seconds": (finished - began).total_seconds(),
        }
        append_row(warehouse, figures, STREAM_METRICS)


def _place_order(found: pa.Table) -> NDArray[np.int64]:
    """The rank of each record by partition and offset."""
    by_place = pc.sort_indices(
        found, sort_keys=[("source_partition", "ascending"), ("source_offset", "ascending")]
    ).to_numpy()
    order = np.empty(len(by_place), dtype=np.int64)
    order[by_place] = np.arange(len(by_place))
    return order
