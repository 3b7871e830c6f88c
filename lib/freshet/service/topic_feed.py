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

    `options` are of Spark's Kafka source (kafka.bootstrap.servers among them), `client` those of the client that asks
    for the topic's partitions.
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


def offsets_behind(job: Job, feed: Topic) -> dict[int, int]:
    """Per partition where the tables of the home end, as `next_offsets`."""
    source, events = read_mapping(feed.mapping).name, job.warehouse.read(EVENTS)
    return next_offsets(
        in_order(job.warehouse, events), source=source, topic=feed.name, partitions=partitions_of(feed)
    )  # fmt: skip


def topic_records(
    job: Job, session: SparkSession, feed: Topic, *, behind: dict[int, int] | None, most: int,
    notify: Callable[[str], None],
) -> DataFrame:  # fmt: skip
    """The stream of streaming.arrivals that begins `behind` these offsets; None: a checkpoint says where it goes on.

    Raises StateError where the topic is not the one that it was.
    """
    mapping = read_mapping(feed.mapping)
    check_same(job, feed, behind)
    offsets = "earliest" if behind is None else starting_offsets(feed.name, _still_there(feed, behind, notify))
    raw = kafka_records(
        session, event_columns(mapping), topic=feed.name, offsets=offsets, most_per_trigger=most, options=feed.options
    )
    return arrivals(raw, mapping, job.settings.cleaning)


def check_same(job: Job, feed: Topic, behind: dict[int, int] | None) -> None:
    """Raises StateError for a topic that was made anew since records of it were taken in.

    A record is known by its place in the topic: those of the new topic would pass for the old ones. The broker's id of
    a topic tells, which is kept beside the checkpoints and outlives them; older brokers have none, there a topic that
    ends before `behind` is found out.
    """
    folder, record = job.home.sources / "topics", f"{read_mapping(feed.mapping).name}-{feed.name}"
    known, now = read_record(folder, record), topic_id(feed.client, feed.name)
    if known is not None and now is not None and known["id"] != now:
        raise _made_anew(feed, f"its id is {now}, that of the topic taken in {known['id']}")
    ends = end_offsets(feed.client, feed.name) if behind else {}
    for partition, offset in (behind or {}).items():
        if offset > ends.get(partition, offset):
            found = f"partition {partition} ends at {ends[partition]}, the tables go on at {offset}"
            raise _made_anew(feed, found)
    if known is None and now is not None:
        folder.mkdir(parents=True, exist_ok=True)
        write_record(folder, record, {"id": now})


def _made_anew(feed: Topic, found: str) -> StateError:
    return StateError(
        "the topic was made anew since its records were taken in", where=feed.place, found=found,
        do="Use a topic of another name, or a mapping with another name: places are known by both",
    )  # fmt: skip


def _still_there(feed: Topic, behind: dict[int, int], notify: Callable[[str], None]) -> dict[int, int]:
    """`behind`, or where a partition begins if that is later: records between have expired, which is told."""
    begins, found = begin_offsets(feed.client, feed.name), dict(behind)
    for partition, offset in behind.items():
        missed = begins.get(partition, offset) - offset
        if offset != EARLIEST and missed > 0:
            notify(f"{missed:,} records of {feed.place}, partition {partition}, expired before they were read")
            found[partition] += missed
    return found
