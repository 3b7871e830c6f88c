"""The service: a stream that takes events in and a stream that keeps lists fresh, in one process or in two.

The leases of the tables that a part writes see to it that each part runs once in a home.
"""

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from freshet.contracts import EVENTS, ITEMS_HISTORY, QUARANTINE, RECOMMENDATION_UPDATES, STREAM_METRICS, TableContract
from freshet.core.errors import DataTooSmallError, StateError
from freshet.ranking.histories.packed_histories import PackedHistories
from freshet.ranking.lists import recommended_in_process
from freshet.runs.job import Job
from freshet.runs.policies import policy_of_lists
from freshet.runs.registered_models import RECOMMENDER, champion
from freshet.runs.table_damage import OF_THE_SERVICE, check_tables
from freshet.runs.waiting import lease_when_free
from freshet.service.compaction.compaction import Compaction
from freshet.service.feeds import (
    EventsTable,
    Feed,
    check_feed,
    intake_records,
    item_records,
    list_events,
    made_for,
    mapping_name,
)
from freshet.service.intake.event_intake import EventIntake, IntakeRules
from freshet.service.intake.item_intake import ItemIntake
from freshet.service.lifecycle.checkpoint import newest_number, opened_checkpoint
from freshet.service.lifecycle.progress import Backlogs, ProgressListener
from freshet.service.lifecycle.running import RunningQuery, WithChores, ended_together, started
from freshet.service.lists.availability import Availability
from freshet.service.lists.forgetting import Forgetting
from freshet.service.lists.initial_histories import opened_store
from freshet.service.lists.item_refresh import ItemRefresh
from freshet.service.lists.list_making import ServedModel, warm_up
from freshet.service.lists.micro_batch import ListMaking, ListUpdates
from freshet.service.lists.query import state_layout, stream_session
from freshet.service.table_feed import ShopTable, shop_batches, shop_position
from freshet.service.topic_feed import Topic
from freshet.tables.leases import leases
from freshet.tables.maintenance.upkeep import Upkeep

EVENTS_PART, LISTS_PART = "events", "lists"
PARTS = (EVENTS_PART, LISTS_PART)
ITEMS_QUERY = "items"
_QUERIES = {EVENTS_PART: (EVENTS_PART, ITEMS_QUERY), LISTS_PART: (LISTS_PART,)}

WRITES: dict[str, tuple[TableContract, ...]] = {
    EVENTS_PART: (EVENTS, QUARANTINE),
    LISTS_PART: (RECOMMENDATION_UPDATES,),
}
"""Tables of which a part is the one writer. Both add to `stream_metrics`, never by Spark: the writer without Spark
puts a commit into the log only where none is yet, also between processes."""


@dataclass
class Champion:
    """The model that serves, looked up anew when `seconds` have passed: a promotion is picked up by the next
    micro-batch after that, a roll-back likewise. Raises DataTooSmallError while none serves."""

    job: Job
    seconds: float
    _model: ServedModel | None = field(default=None, init=False)
    _until: float = field(default=0.0, init=False)

    def __call__(self) -> ServedModel:
        if self._model is None or time.monotonic() >= self._until:
            version = champion(self.job, RECOMMENDER)
            if version is None:
                raise DataTooSmallError("no recommender serves, so there are no lists to keep fresh")
            policy = policy_of_lists(self.job)
            self._model = ServedModel(version.model_version, version.generation, version.folder, policy)
            self._until = time.monotonic() + self.seconds
        return self._model


def serve(
    job: Job, feed: Feed, parts: tuple[str, ...], *, stop: threading.Event, notify: Callable[[str], None]
) -> None:
    """Runs the streams of `parts` until `stop` is set, then ends each between two micro-batches.

    Raises what ended a stream; the other one is stopped first. Raises BusyError when another process runs a part in
    this home or writes one of its tables, StateError when a checkpoint was made for something else or a table is
    damaged.
    """
    check_feed(feed, parts)
    with _leased(job, parts), ended_together(within_seconds=job.settings.service.stop_seconds) as running:
        check_tables(job.home, OF_THE_SERVICE)
        for table in (STREAM_METRICS, *(table for part in parts for table in WRITES[part])):
            job.warehouse.create(table)
        # Lists first: what the intake takes in meanwhile is live for them, and not a part of the hand-over.
        for part in sorted(parts, reverse=True):
            for query in _BEGINNINGS[part](job, feed, notify):
                running.append(query)  # at once: a later one may fail to begin
        notify("running")
        while not stop.wait(timeout=0.2):
            for one in running:
                one.raise_failure()
                if not one.query.isActive:
                    raise StateError("the stream ended by itself", where=one.name, do="Start it again")


def forget_progress(job: Job, parts: tuple[str, ...]) -> None:
    """Removes the checkpoints of `parts`, so that the next start takes over from the tables: nothing is lost or
    doubled."""
    with _leased(job, parts):
        for query in (query for part in parts for query in _QUERIES[part]):
            shutil.rmtree(_folder(job, query), ignore_errors=True)


@contextmanager
def _leased(job: Job, parts: tuple[str, ...]) -> Iterator[None]:
    with ExitStack() as stack:
        for part in sorted(parts):
            names = [table.name for table in WRITES[part]]
            stack.enter_context(leases(job.home.locks, f"stream-{part}", names))
        yield


def _folder(job: Job, query: str) -> Path:
    return job.home.checkpoints / "service" / query


def _started_intakes(job: Job, feed: Feed, notify: Callable[[str], None]) -> Iterator[RunningQuery]:
    yield _started_intake(job, feed, notify)
    if isinstance(feed, Topic) and feed.items is not None:
        yield _started_item_intake(job, feed, notify)


def _started_item_intake(job: Job, feed: Topic, notify: Callable[[str], None]) -> RunningQuery:
    checkpoint = opened_checkpoint(_folder(job, ITEMS_QUERY), made_for(job, feed, ITEMS_QUERY))
    session = stream_session(job.spark, job.settings.stream)
    leased = partial(
        lease_when_free, job.home.locks, "table", ITEMS_HISTORY.name, seconds=job.settings.service.stop_seconds
    )
    with leased():
        job.warehouse.create(ITEMS_HISTORY)
    # While the table is leased, and not beside: others write it too.
    upkeep = Upkeep(job.warehouse, (ITEMS_HISTORY,), job.settings.compaction, job.now, beside=False)
    intake = ItemIntake(
        job.home.warehouse, leased, f"{ITEMS_QUERY}-{checkpoint.id}", mapping_name(feed), job.now, upkeep,
        backlog=_backlog(session, ITEMS_QUERY),
    )  # fmt: skip
    notify(f"what is told of items is taken in from topic {feed.items}")
    return started(
        ITEMS_QUERY, item_records(job, session, feed), WithChores(intake, ()),
        checkpoint=checkpoint.query, every_seconds=job.settings.service.intake_seconds,
    )  # fmt: skip


def _started_intake(job: Job, feed: Feed, notify: Callable[[str], None]) -> RunningQuery:
    assert not isinstance(feed, EventsTable)  # refused by check_feed
    settings, params = job.settings, job.settings.service
    session = stream_session(job.spark, settings.stream)
    # First: where a feed does not fit, nothing begins.
    records = intake_records(job, session, feed, has_checkpoint=_has_checkpoint(job, EVENTS_PART), notify=notify)
    checkpoint = opened_checkpoint(_folder(job, EVENTS_PART), made_for(job, feed, EVENTS_PART))
    rules = IntakeRules(
        mapping_name(feed), timedelta(hours=params.repeat_hours), params.most_collected_events, job.now,
        # Of a topic a micro-batch reads at most so many records; a folder may hold files of any size.
        is_bounded=isinstance(feed, Topic), backlog=_backlog(session, EVENTS_PART),
    )  # fmt: skip
    intake = EventIntake(job.home.warehouse, f"{EVENTS_PART}-{checkpoint.id}", rules)
    upkeep = Upkeep(job.warehouse, (EVENTS, QUARANTINE), settings.compaction, job.now)
    notify(f"events are taken in from {feed.place}")
    batches: Callable[[DataFrame, int], None] = intake
    chores: list[Callable[[], object]] = [upkeep.between_batches]
    if isinstance(feed, ShopTable):
        batches = shop_batches(job, feed, intake)
        chores.append(shop_position(job, feed, checkpoint.query).between_batches)
    return started(
        EVENTS_PART, records, WithChores(batches, tuple(chores)),
        checkpoint=checkpoint.query, every_seconds=params.intake_seconds, ended=(upkeep.end_packing,),
    )  # fmt: skip


def _started_lists(job: Job, feed: Feed, notify: Callable[[str], None]) -> Iterator[RunningQuery]:
    settings = job.settings
    model = Champion(job, settings.service.swap_check_seconds)
    notify(f"model {model().version} serves")
    session = stream_session(job.spark, settings.stream)
    parts = made_for(job, feed, LISTS_PART) | state_layout(session)
    checkpoint = opened_checkpoint(_folder(job, LISTS_PART), parts)
    events = list_events(
        job, session, feed, checkpoint.folder, has_checkpoint=_has_checkpoint(job, LISTS_PART), notify=notify
    )
    compaction = Compaction(job.warehouse, job.home.locks, settings.compaction, job.now)
    availability = Availability(job.warehouse, job.home.availability, settings.service.swap_check_seconds, job.now)

    def scorer(shoppers: pa.Table, histories: PackedHistories, **given: Any) -> pa.Table:
        threads = os.cpu_count() or 1
        return recommended_in_process(shoppers, histories, unavailable=availability(), threads=threads, **given)

    warm_up(scorer, model(), clock=job.now(), length=settings.lists.length)
    making = ListMaking(
        scorer, model, settings.lists.length, job.now, epoch=lambda: compaction.epoch, is_live=True,
        backlog=_backlog(session, LISTS_PART),
    )  # fmt: skip
    upkeep = Upkeep(job.warehouse, (STREAM_METRICS,), settings.compaction, job.now)
    store = opened_store(checkpoint.folder, most=settings.interactions.max_events)
    rest = timedelta(minutes=settings.compaction.tidy_minutes)
    forgetting = Forgetting(store, settings.service, rest=rest, now=job.now)
    updates = ListUpdates(job.home.warehouse, f"{LISTS_PART}-{checkpoint.id}", store, making)
    yield started(
        LISTS_PART, events,
        WithChores(
            updates,
            (compaction.between_batches, upkeep.between_batches, ItemRefresh(job).between_batches,
             forgetting.between_batches),
        ),
        checkpoint=checkpoint.query, every_seconds=0,
        ended=(store.close, compaction.end, upkeep.end_packing),
    )  # fmt: skip


def _has_checkpoint(job: Job, query: str) -> bool:
    """Before its first micro-batch has ended a query has no place of its own to go on from."""
    return newest_number(_folder(job, query) / "query" / "commits") is not None


def _backlog(session: SparkSession, query: str) -> Callable[[], int | None]:
    """What Spark tells of the records that wait for a query of this session."""
    backlogs = Backlogs()
    session.streams.addListener(ProgressListener(backlogs.told))
    return lambda: backlogs.of(query)


_BEGINNINGS: dict[str, Callable[[Job, Feed, Callable[[str], None]], Iterator[RunningQuery]]] = {
    EVENTS_PART: _started_intakes,
    LISTS_PART: _started_lists,
}
