"""Where the service's events come from: a Kafka topic, a folder of JSON lines, a Delta table of the shop, or table
`events` itself."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from freshet.cleaning.meaning import mapping_meaning
from freshet.core.errors import InputError, MappingError
from freshet.runs.job import Job
from freshet.service.table_feed import ShopTable
from freshet.service.topic_feed import Topic, partitions_of
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
    """Raises InputError, MappingError, StateError or TransientError, before Spark is started, for a mapping, topic or
    table that `parts` cannot read from."""
    if isinstance(feed, EventsTable):
        if "events" in parts:
            raise InputError("table events cannot be ingested into itself", do="Add --only lists")
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
        required_catalogue(feed, mapping)
        partitions_of(feed.of_items())


def required_catalogue(feed: Topic, mapping: SourceMapping) -> Catalogue:
    """How the mapping reads records about items. Raises MappingError when it does not say."""
    if mapping.catalogue is None:
        raise MappingError(
            "the mapping does not say how to read records about items", where=str(feed.mapping),
            do="Add a section [items.catalogue]",
        )  # fmt: skip
    return mapping.catalogue


def made_for(job: Job, feed: Feed, part: str) -> dict[str, Any]:
    """What a checkpoint of `part` (events, items or lists) was made for: by name, what must not change as long as it is
    used."""
    place = f"topic {feed.items}" if isinstance(feed, Topic) and part == "items" else feed.place
    parts: dict[str, Any] = {"source": place}
    if not isinstance(feed, EventsTable):
        parts["mapping"] = mapping_meaning(read_mapping(feed.mapping))
    if part == "lists":
        parts["max_events"] = job.settings.interactions.max_events
        parts["history_events"] = ", ".join(job.settings.interactions.event_names)
    return parts


def mapping_name(feed: Topic | Folder | ShopTable) -> str:
    """The name of the source in the tables."""
    return read_mapping(feed.mapping).name
