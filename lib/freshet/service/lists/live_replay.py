"""The live part: the days after the cut replayed as a stream that keeps lists fresh."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from pyspark.sql import functions as F

from freshet.contracts import EVENTS, RECOMMENDATION_UPDATES, STREAM_METRICS
from freshet.runs.home import Home
from freshet.runs.service_parameters import StreamParameters
from freshet.service.lists.history_events import arrival, stream_events
from freshet.service.lists.initial_histories import make_store, opened_store
from freshet.service.lists.list_making import Scorer, ServedModel
from freshet.service.lists.micro_batch import ListMaking, ListUpdates
from freshet.service.lists.query import run_to_end, sliced_events, stream_session
from freshet.service.lists.slices import slice_length, write_slices
from freshet.tables.transactions import clear, figures_of_query
from freshet.tables.warehouse import Warehouse

QUERY_PREFIX = "live-"
"""Prefix of the query ids of replays; those of a service start with another word."""


@dataclass(frozen=True)
class LivePlan:
    """What determines the result of a replay; `fingerprint` identifies it together with the events and the model.

    The events that arrived in [start, end) are replayed. `length`: items of a list; `max_events`: newest events of a
    history; `event_names`: the events in it.
    """

    fingerprint: str
    start: datetime
    end: datetime
    length: int
    max_events: int
    event_names: tuple[str, ...]
    stream: StreamParameters

    @property
    def slice_length(self) -> timedelta:
        return slice_length(self.start, self.end, self.stream)


@dataclass(frozen=True)
class LiveReport:
    """Figures of a replay, over all its starts.

    `batches` counts micro-batches with live events, `lists` what they wrote, `unknown_items` history entries whose
    item the model does not know, in all these lists. Seconds are those of a micro-batch from its start to its lists
    being readable. Null where there were none.
    """

    batches: int
    lists: int
    unknown_items: int
    event_clock: datetime | None
    seconds_p50: float | None
    seconds_p95: float | None


def replay_live(
    home: Home,
    warehouse: Warehouse,
    plan: LivePlan,
    *,
    model: ServedModel,
    scorer: Scorer,
    now: Callable[[], datetime],
    events_version: int | None = None,
) -> LiveReport:
    """Replays the live window of table `events` into `recommendation_updates` and `stream_metrics`.

    A replay that was killed resumes from its checkpoint and ends with the same tables, except for wall times; one that
    is complete adds nothing. Another fingerprint starts from scratch: checkpoints and rows of earlier replays are
    removed.
    """
    folder = home.checkpoints / "live" / plan.fingerprint
    checkpoint = folder / "query"
    if not checkpoint.exists():
        _start_over(folder, warehouse)
    events = warehouse.read(EVENTS, version=events_version)
    if not checkpoint.exists():
        # What was known before the window. Shoppers without events in it keep the batch's lists.
        known = events.where(arrival() < F.lit(plan.start))
        make_store(
            known, folder,
            event_names=plan.event_names, most=plan.max_events, most_per_file=plan.stream.max_events_per_slice,
        )  # fmt: skip
    write_slices(
        stream_events(events, plan.event_names),
        folder / "input",
        start=plan.start,
        end=plan.end,
        length=plan.slice_length,
        most_events=plan.stream.max_events_per_slice,
    )
    store = opened_store(folder, most=plan.max_events)
    making = ListMaking(scorer, lambda: model, plan.length, now)
    updates = ListUpdates(warehouse.folder, query_id(plan.fingerprint), store, making)
    session = stream_session(warehouse.spark, plan.stream)
    try:
        run_to_end(sliced_events(session, folder / "input"), updates, checkpoint=checkpoint)
    finally:
        store.close()
    return live_report(warehouse, plan)


def query_id(fingerprint: str) -> str:
    """The query's id in its tables: that of its checkpoint's folder, so that a second home can be compared."""
    return f"{QUERY_PREFIX}{fingerprint}"


def _start_over(folder: Path, warehouse: Warehouse) -> None:
    """Empties the tables before there is a checkpoint: rows of a lost one must not be mistaken for those of the new
    one."""
    if folder.parent.exists():
        for other in folder.parent.iterdir():
            if other != folder:
                shutil.rmtree(other)
    folder.mkdir(parents=True, exist_ok=True)
    for table in (RECOMMENDATION_UPDATES, STREAM_METRICS):
        clear(warehouse, table)


def live_report(warehouse: Warehouse, plan: LivePlan) -> LiveReport:
    """The report of the last replay of `plan`, from `stream_metrics`."""
    columns = ("event_clock", "lists", "unknown_items", "seconds")
    rows = figures_of_query(warehouse, STREAM_METRICS, query_id(plan.fingerprint), columns)
    seconds = np.array([row["seconds"] for row in rows])
    return LiveReport(
        batches=len(rows),
        lists=sum(row["lists"] for row in rows),
        unknown_items=sum(row["unknown_items"] for row in rows),
        event_clock=rows[-1]["event_clock"] if rows else None,
        seconds_p50=float(np.quantile(seconds, 0.5)) if rows else None,
        seconds_p95=float(np.quantile(seconds, 0.95)) if rows else None,
    )
