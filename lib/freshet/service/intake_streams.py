"""The streams of the intake, from their sources to the running queries: one of events, one of records about items."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial

from pyspark.sql import DataFrame, SparkSession

from freshet.cleaning.source_columns import catalogue_columns, event_columns, json_columns
from freshet.contracts import EVENTS, ITEMS_HISTORY, QUARANTINE
from freshet.runs.job import Job
from freshet.runs.waiting import lease_when_free
from freshet.service.feeds import EventsTable, Feed, Folder, made_for, mapping_name, required_catalogue
from freshet.service.intake.arrivals import arrivals
from freshet.service.intake.event_intake import EventIntake, IntakeRules
from freshet.service.intake.item_intake import ItemIntake
from freshet.service.intake.item_records import item_messages
from freshet.service.lifecycle.checkpoint import has_finished_batch, opened_checkpoint, query_folder
from freshet.service.lifecycle.progress import backlog_of
from freshet.service.lifecycle.running import RunningQuery, WithChores, started
from freshet.service.lists.query import stream_session
from freshet.service.streams.records import file_records, kafka_records
from freshet.service.table_feed import ShopTable, shop_batches, shop_position, shop_rows
from freshet.service.topic_feed import Topic, check_same, next_topic_offsets, topic_records
from freshet.sources.mapping import read_mapping
from freshet.tables.maintenance.upkeep import Upkeep

EVENTS_PART = "events"
ITEMS_QUERY = "items"


def started_intakes(job: Job, feed: Feed, notify: Callable[[str], None]) -> Iterator[RunningQuery]:
    """Starts the query that ingests events, then the one that ingests records about items, if there is a topic of them.

    Raises InputError, MappingError and StateError for a feed that does not fit or is not the one of the checkpoint.
    """
    assert not isinstance(feed, EventsTable)  # refused by check_feed
    yield _started_events(job, feed, notify)
    if isinstance(feed, Topic) and feed.items is not None:
        yield _started_items(job, feed, notify)


def _started_events(job: Job, feed: Topic | Folder | ShopTable, notify: Callable[[str], None]) -> RunningQuery:
    settings, params = job.settings, job.settings.service
    session = stream_session(job.spark, settings.stream)
    folder = query_folder(job.home.checkpoints, EVENTS_PART)
    # First: a feed that does not fit must not leave a checkpoint.
    records = intake_records(job, session, feed, has_checkpoint=has_finished_batch(folder), notify=notify)
    checkpoint = opened_checkpoint(folder, made_for(job, feed, EVENTS_PART))
    rules = IntakeRules(
        mapping_name(feed), timedelta(hours=params.repeat_hours), params.most_collected_events, job.now,
        # The number of a topic's records in a micro-batch is limited; a folder may hold files of any size.
        is_bounded=isinstance(feed, Topic), backlog=backlog_of(session, EVENTS_PART),
    )  # fmt: skip
    intake = EventIntake(job.home.warehouse, f"{EVENTS_PART}-{checkpoint.id}", rules)
    upkeep = Upkeep(job.warehouse, (EVENTS, QUARANTINE), settings.compaction, job.now)
    notify(f"events are read from {feed.place}")
    batches: Callable[[DataFrame, int], None] = intake
    chores: list[Callable[[], object]] = [upkeep.between_batches]
    if isinstance(feed, ShopTable):
        batches = shop_batches(job, feed, intake)
        chores.append(shop_position(job, feed, checkpoint.query).between_batches)
    return started(
        EVENTS_PART, records, WithChores(batches, tuple(chores)),
        checkpoint=checkpoint.query, every_seconds=params.intake_seconds, ended=(upkeep.end_packing,),
    )  # fmt: skip


def _started_items(job: Job, feed: Topic, notify: Callable[[str], None]) -> RunningQuery:
    folder = query_folder(job.home.checkpoints, ITEMS_QUERY)
    checkpoint = opened_checkpoint(folder, made_for(job, feed, ITEMS_QUERY))
    session = stream_session(job.spark, job.settings.stream)
    leased = partial(
        lease_when_free, job.home.locks, "table", ITEMS_HISTORY.name, seconds=job.settings.service.stop_seconds
    )
    with leased():
        job.warehouse.create(ITEMS_HISTORY)
    # Only while the table is leased, not in the background: other processes write it too.
    upkeep = Upkeep(job.warehouse, (ITEMS_HISTORY,), job.settings.compaction, job.now, in_background=False)
    intake = ItemIntake(
        job.home.warehouse, leased, f"{ITEMS_QUERY}-{checkpoint.id}", mapping_name(feed), job.now, upkeep,
        backlog=backlog_of(session, ITEMS_QUERY),
    )  # fmt: skip
    notify(f"records about items are read from topic {feed.items}")
    return started(
        ITEMS_QUERY, item_records(job, session, feed), WithChores(intake, ()),
        checkpoint=checkpoint.query, every_seconds=job.settings.service.intake_seconds,
    )  # fmt: skip


def intake_records(
    job: Job,
    session: SparkSession,
    feed: Topic | Folder | ShopTable,
    *,
    has_checkpoint: bool,
    notify: Callable[[str], None],
) -> DataFrame:
    """The stream of records that the intake reads: `intake.arrivals` of a topic or folder, the raw rows of a shop's
    table (`table_feed.shop_rows`).

    A new query starts where the tables of the home end; with `has_checkpoint` it resumes from its checkpoint.
    """
    params, mapping = job.settings.service, read_mapping(feed.mapping)
    if isinstance(feed, Folder):
        raw = file_records(
            session, event_columns(mapping), folder=feed.path, files_per_trigger=params.most_intake_files
        )
        return arrivals(raw, mapping, job.settings.cleaning)
    if isinstance(feed, ShopTable):
        return shop_rows(job, session, feed, has_checkpoint=has_checkpoint)
    first = None if has_checkpoint else next_topic_offsets(job, feed)
    return topic_records(job, session, feed, first=first, most=params.most_intake_events, notify=notify)


def item_records(job: Job, session: SparkSession, feed: Topic) -> DataFrame:
    """The stream of `intake.item_records.item_messages` that the intake reads; a new query starts with the oldest
    message of the topic. Raises StateError when the topic was created again."""
    mapping = read_mapping(feed.mapping)
    catalogue = required_catalogue(feed, mapping)
    topic = feed.of_items()
    check_same(job, topic, None)
    raw = kafka_records(
        session, json_columns([name for _, name in catalogue_columns(catalogue)]), topic=topic.name,
        offsets="earliest", most_per_trigger=job.settings.service.most_item_records, options=feed.options,
    )  # fmt: skip
    return item_messages(raw, catalogue, mapping.null_values)
