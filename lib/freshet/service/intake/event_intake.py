"""A micro-batch of the intake: every record ends in exactly one row of `events` or `quarantine`.

A record is identified by its place (source, partition, offset), which both tables keep. So the tables are all that is
needed for exactly once: after a start, records whose place is in a table are left out, whether the checkpoint was one
micro-batch behind or is lost.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyspark.sql import DataFrame

from freshet.contracts import EVENTS, QUARANTINE, STREAM_METRICS
from freshet.service.intake.arrivals import in_pieces, places_of, verdicts
from freshet.service.intake.intake_rows import intake_figures, refused_rows
from freshet.service.intake.known_records import StoredPlaces, recent_keys
from freshet.service.intake.recent_keys import Keys, RecentKeys, keys_of, repeats_within
from freshet.tables.small_writes import append_arrow, append_row
from freshet.tables.transactions import newest_batch
from freshet.tables.warehouse import Warehouse

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class IntakeRules:
    """How the records of the source named `source` are ingested.

    An event id is remembered for at least `repeat_window` after its receipt. At most about `most_collected` records
    are in the memory of this process together; `is_bounded`: the source ensures that a micro-batch has no more.
    `now` returns the wall time, UTC without a zone; `backlog` the number of records that wait in the source, None where
    it is unknown.
    """

    source: str
    repeat_window: timedelta
    most_collected: int
    now: Callable[[], datetime]
    is_bounded: bool = False
    backlog: Callable[[], int | None] = lambda: None


@dataclass
class _Counts:
    """Of a micro-batch: records, the refused ones by reason, the newest time of a sound one."""

    records: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    newest: datetime | None = None

    def add(self, found: pa.Table, again: Flags) -> None:
        self.records += found.num_rows
        self.reasons.update(found.column("reason_code").drop_null().to_pylist())
        if again.any():
            self.reasons[_RESENT] += int(again.sum())
        newest = pc.max(found.filter(pc.is_null(found.column("reason_code"))).column("event_time")).as_py()
        if newest is not None:
            moment = newest.replace(tzinfo=None)
            self.newest = moment if self.newest is None else max(moment, self.newest)


_RESENT = "resent"


@dataclass
class EventIntake:
    """The function that a stream of `arrivals` calls for each micro-batch. The tables must exist.

    A record is in one table once, even if the process is killed. The first of several records with one event id becomes
    an event, in order of arrival; later ones are `resent`. The error that ended a micro-batch is kept in `failure`."""

    folder: Path
    query_id: str
    rules: IntakeRules
    failure: Exception | None = field(default=None, init=False)
    _stored_places: StoredPlaces | None = field(default=None, init=False)
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
        began, counts = self.rules.now(), _Counts()
        # The session of a micro-batch is a clone of the query's; settings of other sessions do not apply to it.
        warehouse = Warehouse(records.sparkSession, self.folder)
        for piece in self._pieces(records):
            found = verdicts(piece).toArrow()
            if found.num_rows:
                if self._stored_places is None:
                    self._look_up(warehouse, found if self.rules.is_bounded else places_of(records))
                is_stored, again = self._repeats(warehouse, found)
                for rows, contract in ((_refused(found, is_stored, again), QUARANTINE),
                                       (_accepted(found, is_stored, again), EVENTS)):  # fmt: skip
                    append_arrow(warehouse, rows, contract)
                counts.add(found, again)
        if counts.records:
            self._keep_figures(warehouse, batch_id, began, counts)

    def _pieces(self, records: DataFrame) -> Iterator[DataFrame]:
        if self.rules.is_bounded:
            yield records
            return
        records.persist()
        try:
            yield from in_pieces(records, max(1, -(-records.count() // self.rules.most_collected)))
        finally:
            records.unpersist()

    def _look_up(self, warehouse: Warehouse, first: pa.Table) -> None:
        """Asks the tables what is_stored before the micro-batch `first`."""
        self._figures_until = newest_batch(warehouse, STREAM_METRICS, self.query_id)
        self._stored_places = StoredPlaces.of(warehouse, self.rules.source)
        self._recent = recent_keys(warehouse, self.rules.source, first, self.rules.repeat_window)

    def _repeats(self, warehouse: Warehouse, found: pa.Table) -> tuple[Flags, Flags]:
        """Which records are in a table already, and which were sent again."""
        assert self._stored_places is not None
        as_events, as_refused = self._stored_places.of_batch(warehouse, found)
        keys = keys_of(found)
        sound = pc.is_null(found.column("reason_code")).to_numpy()
        # A sound record in quarantine was sent again, or refused by another mapping. A corrected one is in both tables.
        again = sound & as_refused & ~as_events
        open_ = sound & ~again
        # Records that are stored came first, whatever their place is.
        order = _place_order(found) + np.where(as_events, 0, found.num_rows)
        again[open_] = repeats_within(keys[open_], order[open_])
        again |= open_ & self._recent.seen(keys)
        again &= ~as_events
        self._remember(keys[sound & ~again], found.filter(pa.array(sound & ~again)))
        return as_events | as_refused, again

    def _remember(self, keys: Keys, accepted: pa.Table) -> None:
        if accepted.num_rows:
            newest = pc.max(accepted.column("received_time")).as_py().replace(tzinfo=None)
            self._recent.add(keys, newest)
            self._recent.forget(newest - self.rules.repeat_window)

    def _keep_figures(self, warehouse: Warehouse, batch_id: int, began: datetime, counts: _Counts) -> None:
        if batch_id <= self._figures_until:
            return
        finished = self.rules.now()
        if counts.newest is not None:
            self._clock = counts.newest if self._clock is None else max(counts.newest, self._clock)
        figures = {
            "query_id": self.query_id,
            "batch_id": batch_id,
            "job": "events",
            "event_clock": self._clock,
            "backlog": self.rules.backlog(),
            **intake_figures(counts.records, counts.reasons, began=began, finished=finished),
        }
        append_row(warehouse, figures, STREAM_METRICS)


def _accepted(found: pa.Table, is_stored: Flags, again: Flags) -> pa.Table:
    """Rows of EVENTS from `verdicts`."""
    sound = pc.is_null(found.column("reason_code")).to_numpy()
    return found.filter(pa.array(sound & ~again & ~is_stored)).select(EVENTS.column_names)


def _refused(found: pa.Table, is_stored: Flags, again: Flags) -> pa.Table:
    """Rows of QUARANTINE from `verdicts`."""
    refused = pc.is_valid(found.column("reason_code")).to_numpy() | again
    rows = found.filter(pa.array(refused & ~is_stored))
    resent = pc.is_null(rows.column("reason_code"))
    fields = {"reason_code": _RESENT, "field": "event_id", "message": "an earlier record has this event id"}
    for name, text in fields.items():
        place = rows.column_names.index(name)
        rows = rows.set_column(place, name, pc.if_else(resent, text, rows.column(name)))
    return refused_rows(rows)


def _place_order(found: pa.Table) -> NDArray[np.int64]:
    """The rank of each record by partition and offset."""
    by_place = pc.sort_indices(
        found, sort_keys=[("source_partition", "ascending"), ("source_offset", "ascending")]
    ).to_numpy()
    order = np.empty(len(by_place), dtype=np.int64)
    order[by_place] = np.arange(len(by_place))
    return order
