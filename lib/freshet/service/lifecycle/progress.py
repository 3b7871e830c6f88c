"""What Spark itself tells of a running query, for figures that a micro-batch cannot know of itself."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pyspark import SparkContext
from pyspark.sql import SparkSession
from pyspark.sql.streaming.listener import (
    QueryIdleEvent,
    QueryProgressEvent,
    QueryStartedEvent,
    QueryTerminatedEvent,
    StreamingQueryListener,
)


class ProgressListener(StreamingQueryListener):
    """Tells `told` of every micro-batch, as the object of Spark's JSON text of its progress.

    PySpark's own listener takes each event apart in Python, a call into Java for every part: at two micro-batches a
    second that was 0.3 of a core in the JVM alone. The text is one call.
    """

    def __init__(self, told: Callable[[dict[str, Any]], None]) -> None:
        self._told = told

    @cached_property
    def _jlistener(self) -> Any:
        """What `addListener` hands to Spark."""
        jvm = SparkContext._jvm  # imports of the wrapper's package are addListener's
        assert jvm is not None  # a session has one
        return jvm.PythonStreamingQueryListenerWrapper(_Heard(self._told))

    def onQueryProgress(self, event: QueryProgressEvent) -> None:  # noqa: N802  # Spark's name
        """Not called: events come in their Java form."""

    def onQueryStarted(self, event: QueryStartedEvent) -> None:  # noqa: N802
        """Not called."""

    def onQueryIdle(self, event: QueryIdleEvent) -> None:  # noqa: N802
        """Not called."""

    def onQueryTerminated(self, event: QueryTerminatedEvent) -> None:  # noqa: N802
        """Not called."""


class _Heard:
    """Spark's events as Java objects."""

    def __init__(self, told: Callable[[dict[str, Any]], None]) -> None:
        self._told = told

    def onQueryProgress(self, event: Any) -> None:  # noqa: N802
        self._told(json.loads(event.progress().json()))

    def onQueryStarted(self, event: Any) -> None: ...  # noqa: N802

    def onQueryIdle(self, event: Any) -> None: ...  # noqa: N802

    def onQueryTerminated(self, event: Any) -> None: ...  # noqa: N802

    class Java:
        implements = ("org.apache.spark.sql.streaming.PythonStreamingQueryListener",)


@dataclass
class Backlogs:
    """The records that wait in the topic of each query, by its name, after its last micro-batch."""

    _records: dict[str, int] = field(default_factory=dict)

    def of(self, query: str) -> int | None:
        """None before the first micro-batch of a start has ended, and for a source that has no offsets to tell."""
        return self._records.get(query)

    def note(self, progress: dict[str, Any]) -> None:
        """Keeps the number; queries without a name are no business of ours."""
        sources = progress.get("sources")
        if progress.get("name") and sources:
            waiting = waiting_records(sources[0].get("endOffset"), sources[0].get("latestOffset"))
            if waiting is not None:
                self._records[progress["name"]] = waiting


def backlog_of(session: SparkSession, query: str) -> Callable[[], int | None]:
    """A function that returns how many records wait for a query of this session, as `Backlogs.of`."""
    backlogs = Backlogs()
    session.streams.addListener(ProgressListener(backlogs.note))
    return lambda: backlogs.of(query)


def waiting_records(end: Any, latest: Any) -> int | None:
    """Records between two offsets of Kafka's source, offsets by topic and partition; None for other sources."""
    read, there = _by_partition(end), _by_partition(latest)
    if read is None or there is None:
        return None
    return sum(offset - read.get(place, offset) for place, offset in there.items())


def _by_partition(offsets: Any) -> dict[tuple[str, str], int] | None:
    try:
        return {(topic, number): int(place) for topic, places in offsets.items() for number, place in places.items()}
    except (AttributeError, TypeError, ValueError):
        return None
