"""Where the service's events come from: a Kafka topic, a folder of JSON lines, a Delta table of the shop, or table
`events` itself."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from freshet.cleaning.meaning import mapping_meaning
from freshet.cleaning.source_columns import catalogue_columns, event_columns, json_columns
from freshet.core.errors import InputError, MappingError
from freshet.runs.job import Job
from freshet.service.intake.arrivals import arrivals
from freshet.service.intake.item_records import item_messages
from freshet.service.lists.handover import (
    live_events,
    live_rows,
    table_handover,
    topic_handover,
)
from freshet.service.lists.initial_histories import make_store
from freshet.service.streams.records import file_records, kafka_records
from freshet.service.table_feed import ShopTable, shop_rows
from freshet.service.topic_feed import Topic, check_same, offsets_behind, partitions_of, topic_records
from freshet.sources.mapping import read_mapping
from freshet.sources.rules import Catalogue, SourceMapping


@dataclass(frozen=True)
class Folder:
    """A folder into which files of JSON lines are moved whole, and the mapping of their records."""

    mapping: Path
    path: Path

    @property
    def place(self) -> str:
        return f"folder {self.path.absolute()}"


@dataclass(frozen=True)
class EventsTable:
    """Table `events` of the home, which another process fills."""

    @property
    def place(self) -> str:
        return "table events"


Feed = Topic | Folder | ShopTable | EventsTable


_KINDS: dict[type[Any], str] = {Folder: "folder", ShopTable: "table of the shop"}


def check_feed(feed: Feed, parts: tuple[str, ...]) -> None:
    """Raises, before Spark is started, for a mapping, folder, topic or table that `parts` cannot be fed from."""
    if isinstance(feed, EventsTable):
        if "events" in parts:
            raise InputError("table events is where events go, it cannot be taken in", do="Add --only lists")
        return
    if parts == ("lists",) and not isinstance(feed, Topic):
        raise InputError(f"lists are not made straight from a {_KINDS[type(feed)]}", do="Run them from table:events")
    mapping = read_mapping(feed.mapping)
    if not isinstance(feed, Topic):
        return
    partitions_of(feed)
    if feed.items == feed.name:
        raise InputError("records about items need a topic of their own", where=f"--items-topic {feed.items}")
    if feed.items is not None:
        _required_catalogue(feed, mapping)
        partitions_of(feed.of_items())


def _required_catalogue(feed: Topic, mapping: SourceMapping) -> Catalogue:
    if mapping.catalogue is None:
        raise MappingError(
            "the mapping does not say how to read records about items", where=str(feed.mapping),
            do="Add a section [items.catalogue]",
        )  # fmt: skip
    return mapping.catalogue


def made_for(job: Job, feed: Feed, part: str) -> dict[str, Any]:
    """What a checkpoint of `part` (events, items or lists) stands for, and what must not change under it."""
    place = f"topic {feed.items}" if isinstance(feed, Topic) and part == "items" else feed.place
    parts: dict[str, Any] = {"source": place}
    if not isinstance(feed, EventsTable):
        parts["mapping"] = mapping_meaning(read_mapping(feed.mapping))
    if part == "lists":
        parts["max_events"] = job.settings.interactions.max_events
        parts["history_events"] = ", ".join(job.settings.interactions.event_names)
    return parts


def intake_records(
    job: Job,
    session: SparkSession,
    feed: Topic | Folder | ShopTable,
    *,
    has_checkpoint: bool,
    notify: Callable[[str], None],
) -> DataFrame:
    """The stream of streaming.arrivals that a new intake begins, of a topic from where the tables of the home end; of a
    table of the shop its rows (shop_table). `has_checkpoint`: there is a checkpoint, from which it goes on."""
    params, mapping = job.settings.service, read_mapping(feed.mapping)
    if isinstance(feed, Folder):
        raw = file_records(
            session, event_columns(mapping), folder=feed.path, files_per_trigger=params.most_intake_files
        )
        return arrivals(raw, mapping, job.settings.cleaning)
    if isinstance(feed, ShopTable):
        return shop_rows(job, session, feed, has_checkpoint=has_checkpoint)
    behind = None if has_checkpoint else offsets_behind(job, feed)
    return topic_records(job, session, feed, behind=behind, most=params.most_intake_events, notify=notify)


def item_records(job: Job, session: SparkSession, feed: Topic) -> DataFrame:
    """The stream of streaming.item_messages that a new intake of what is told of items begins: all its topic has."""
    mapping = read_mapping(feed.mapping)
    catalogue = _required_catalogue(feed, mapping)
    topic = feed.of_items()
    check_same(job, topic, None)
    raw = kafka_records(
        session, json_columns([name for _, name in catalogue_columns(catalogue)]), topic=topic.name,
        offsets="earliest", most_per_trigger=job.settings.service.most_item_records, options=feed.options,
    )  # fmt: skip
    return item_messages(raw, catalogue, mapping.null_values)


def list_events(
    job: Job, session: SparkSession, feed: Feed, folder: Path, *, has_checkpoint: bool, notify: Callable[[str], None]
) -> DataFrame:
    """The stream of STREAM_EVENT that lists are made from.

    Straight from a topic, where there is one; else from table `events`, which the intake of another feed fills. What
    the tables held when the stream first started is in the store in `folder`, next to the hand-over. With
    `has_checkpoint` the stream goes on from its checkpoint.
    """
    params, event_names = job.settings.service, job.settings.interactions.event_names

    def past(events: DataFrame, where: Path) -> None:
        most, most_per_file = job.settings.interactions.max_events, job.settings.stream.max_events_per_slice
        make_store(events, where, event_names=event_names, most=most, most_per_file=most_per_file)

    if isinstance(feed, Topic):
        hand = topic_handover(
            job.warehouse, folder, source=mapping_name(feed), topic=feed.name, partitions=partitions_of(feed), past=past
        )
        behind = None if has_checkpoint else hand.offsets
        arrived = topic_records(job, session, feed, behind=behind, most=params.most_list_events, notify=notify)
        return live_events(arrived, event_names)
    version = table_handover(job.warehouse, folder, past=past)
    return live_rows(session, job.warehouse, after=version, event_names=event_names, most_files=params.most_list_files)


def mapping_name(feed: Topic | Folder | ShopTable) -> str:
    """The name of the source in the tables."""
    return read_mapping(feed.mapping).name
