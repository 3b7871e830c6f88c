"""What Spark itself tells of a running query, for figures that a micro-batch cannot know of itself."""

from dataclasses import dataclass, field

from pyspark.sql.streaming.listener import (
    QueryIdleEvent,
    QueryProgressEvent,
    QueryStartedEvent,
    QueryTerminatedEvent,
    StreamingQueryListener,
)


@dataclass
class StateSizes(StreamingQueryListener):
    """The shoppers in the state of each query, by its name, after its last micro-batch."""

    _rows: dict[str, int] = field(default_factory=dict)

    def of(self, query: str) -> int | None:
        """None before the first micro-batch of a start has ended, and for a query without state."""
        return self._rows.get(query)

    def onQueryProgress(self, event: QueryProgressEvent) -> None:  # noqa: N802  # Spark's name
        """Keeps the size; queries without a name are no business of ours."""
        operators = event.progress.stateOperators
        if event.progress.name and operators:
            self._rows[event.progress.name] = sum(operator.numRowsTotal for operator in operators)

    def onQueryStarted(self, event: QueryStartedEvent) -> None:  # noqa: N802
        """Nothing to keep."""

    def onQueryIdle(self, event: QueryIdleEvent) -> None:  # noqa: N802
        """Nothing to keep."""

    def onQueryTerminated(self, event: QueryTerminatedEvent) -> None:  # noqa: N802
        """Nothing to keep."""
