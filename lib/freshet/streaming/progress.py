"""What Spark itself tells of a running query, for figures that a micro-batch cannot know of itself."""

import json
from dataclasses import dataclass, field
from typing import Any

from pyspark.sql.streaming.listener import (
    QueryIdleEvent,
    QueryProgressEvent,
    QueryStartedEvent,
    QueryTerminatedEvent,
    StreamingQueryListener,
)


@dataclass
class Backlogs(StreamingQueryListener):
    """The records that wait in the topic of each query, by its name, after its last micro-batch."""

    _records: dict[str, int] = field(default_factory=dict)

    def of(self, query: str) -> int | None:
        """None before the first micro-batch of a start has ended, and for a source that has no offsets to tell."""
        return self._records.get(query)

    def onQueryProgress(self, event: QueryProgressEvent) -> None:  # noqa: N802  # Spark's name
        """Keeps the number; queries without a name are no business of ours."""
        if event.progress.name and event.progress.sources:
            source = event.progress.sources[0]
            waiting = waiting_records(source.endOffset, source.latestOffset)
            if waiting is not None:
                self._records[event.progress.name] = waiting

    def onQueryStarted(self, event: QueryStartedEvent) -> None:  # noqa: N802
        """Nothing to keep."""

    def onQueryIdle(self, event: QueryIdleEvent) -> None:  # noqa: N802
        """Nothing to keep."""

    def onQueryTerminated(self, event: QueryTerminatedEvent) -> None:  # noqa: N802
        """Nothing to keep."""


def waiting_records(end: str | None, latest: str | None) -> int | None:
    """Records between two offsets of Kafka's source, JSON of offsets by topic and partition; None for other sources."""
    read, there = _by_partition(end), _by_partition(latest)
    if read is None or there is None:
        return None
    return sum(offset - read.get(place, offset) for place, offset in there.items())


def _by_partition(offsets: str | None) -> dict[tuple[str, str], int] | None:
    try:
        told: Any = json.loads(offsets or "")
        return {(topic, number): int(place) for topic, places in told.items() for number, place in places.items()}
    except (ValueError, AttributeError, TypeError):
        return None
