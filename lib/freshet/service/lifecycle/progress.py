"""Progress of running queries as Spark reports it, for figures that a micro-batch does not know itself."""

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
    """Calls `report` after every micro-batch with the object in Spark's JSON text of its progress.

    PySpark's own listener converts each event to Python with a call into Java for every field: at two micro-batches a
    second that took 0.3 of a core in the JVM alone. The JSON text is one call.
    """

    def __init__(self, report: Callable[[dict[str, Any]], None]) -> None:
        self._report = report

    @cached_property
    def _jlistener(self) -> Any:
        """What `addListener` hands to Spark."""
        jvm = SparkContext._jvm  # imports of the wrapper's package are addListener's
        assert jvm is not None  # a session has one
        return jvm.PythonStreamingQueryListenerWrapper(_JavaListener(self._report))

    def onQueryProgress(self, event: QueryProgressEvent) -> None:  # noqa: N802  # Spark's name
        """Not called: events come in their Java form."""

    def onQueryStarted(self, event: QueryStartedEvent) -> None:  # noqa: N802
        """Not called."""

    def onQueryIdle(self, event: QueryIdleEvent) -> None:  # noqa: N802
        """Not called."""

    def onQueryTerminated(self, event: QueryTerminatedEvent) -> None:  # noqa: N802
        """Not called."""


class _JavaListener:
    """Receives Spark's events as Java objects."""

    def __init__(self, report: Callable[[dict[str, Any]], None]) -> None:
        self._report = report

    def onQueryProgress(self, event: Any) -> None:  # noqa: N802
        self._report(json.loads(event.progress().json()))

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
        """None before the first micro-batch after a start has ended, and for a source without numeric offsets."""
        return self._records.get(query)

    def note(self, progress: dict[str, Any]) -> None:
        """Keeps the number of waiting records; queries without a name are ignored."""
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
