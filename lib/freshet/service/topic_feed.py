"""A Kafka topic as a feed of the service."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession

from freshet.cleaning.source_columns import event_columns
from freshet.contracts import EVENTS
from freshet.core.errors import StateError
from freshet.core.records import read_record, write_record
from freshet.runs.job import Job
from freshet.service.intake.arrivals import arrivals
from freshet.service.lists.handover import EARLIEST, in_order, next_offsets, starting_offsets
from freshet.service.streams.records import kafka_records
from freshet.sources.kafka.topics import begin_offsets, end_offsets, partitions_of_topics, topic_id
from freshet.sources.mapping import read_mapping


@dataclass(frozen=True)
class Topic:
    """A Kafka topic and the mapping of its JSON records; `items`: the topic of records about items, if there is one.

    `options` are of Spark's Kafka source (kafka.bootstrap.servers among them), `client` those of the client that
    lists the topic's partitions.
    """

    mapping: Path
    name: str
    options: dict[str, str]
    client: dict[str, str]
    items: str | None = None

    @property
    def place(self) -> str:
        return f"topic {self.name}"

    def of_items(self) -> "Topic":
        """The topic of records about items. There must be one."""
        assert self.items is not None
        return replace(self, name=self.items, items=None)


def partitions_of(feed: Topic) -> int:
    """Raises StateError for an unknown topic, TransientError where no broker answers."""
    found = partitions_of_topics(feed.client).get(feed.name)
    if found is None:
        raise StateError("there is no such topic", where=feed.place, do="Create it, or check --topic")
    return found


def next_topic_offsets(job: Job, feed: Topic) -> dict[int, int]:
    """Per partition the offset after the last record in the tables of the home, as `next_offsets` gives it."""
    source, events = read_mapping(feed.mapping).name, job.warehouse.read(EVENTS)
    return next_offsets(
        in_order(job.warehouse, events), source=source, topic=feed.name, partitions=partitions_of(feed)
    )  # fmt: skip


def topic_records(
    job: Job, session: SparkSession, feed: Topic, *, first: dict[int, int] | None, most: int,
    notify: Callable[[str], None],
) -> DataFrame:  # fmt: skip
    """The stream of `intake.arrivals` from these offsets on; None: the query resumes from its checkpoint.

    Raises StateError when the topic was created again since.
    """
    mapping = read_mapping(feed.mapping)
    check_same(job, feed, first)
    offsets = "earliest" if first is None else starting_offsets(feed.name, _not_expired(feed, first, notify))
    raw = kafka_records(
        session, event_columns(mapping), topic=feed.name, offsets=offsets, most_per_trigger=most, options=feed.options
    )
    return arrivals(raw, mapping, job.settings.cleaning)


def check_same(job: Job, feed: Topic, first: dict[int, int] | None) -> None:
    """Raises StateError for a topic that was deleted and created again since its records were ingested.

    A record is identified by its place in the topic, so records of the new topic would be mistaken for old ones. The
    topic is recognised by the broker's id of it, which is stored next to the checkpoints and survives them. Older
    brokers have no ids; there only a topic that ends before the offsets `first` is recognised as another one.
    """
    folder, record = job.home.sources / "topics", f"{read_mapping(feed.mapping).name}-{feed.name}"
    known, now = read_record(folder, record), topic_id(feed.client, feed.name)
    if known is not None and now is not None and known["id"] != now:
        raise _created_again(feed, f"its id is {now}, that of the ingested topic {known['id']}")
    ends = end_offsets(feed.client, feed.name) if first else {}
    for partition, offset in (first or {}).items():
        if offset > ends.get(partition, offset):
            found = f"partition {partition} ends at {ends[partition]}, the tables continue at {offset}"
            raise _created_again(feed, found)
    if known is None and now is not None:
        folder.mkdir(parents=True, exist_ok=True)
        write_record(folder, record, {"id": now})


def _created_again(feed: Topic, found: str) -> StateError:
    return StateError(
        "the topic was created again since its records were ingested", where=feed.place, found=found,
        do="Use a topic of another name, or a mapping with another name: records are identified by both",
    )  # fmt: skip


def _not_expired(feed: Topic, offsets: dict[int, int], notify: Callable[[str], None]) -> dict[int, int]:
    """`offsets`, or the oldest offset of a partition if that is later: the records between have expired, and `notify`
    is called with their number."""
    oldest, found = begin_offsets(feed.client, feed.name), dict(offsets)
    for partition, offset in offsets.items():
        missed = oldest.get(partition, offset) - offset
        if offset != EARLIEST and missed > 0:
            notify(f"{missed:,} records of {feed.place}, partition {partition}, expired before they were read")
            found[partition] += missed
    return found
