"""A query that runs until it is stopped: it is started, watched and ended between two micro-batches."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException, StreamingQueryException
from pyspark.sql import DataFrame
from pyspark.sql.streaming.query import StreamingQuery

from freshet.core.errors import NO_SPACE, StateError, TransientError
from freshet.sources.rules import MISTAKES_FOUND_LATE

_log = logging.getLogger(__name__)


class MicroBatches(Protocol):
    """What a query calls for each micro-batch; the error that ended one is kept in `failure`.

    Once `is_ending` is set, the next call ends the query before it has done anything.
    """

    failure: Exception | None
    is_ending: bool

    def __call__(self, rows: DataFrame, batch_id: int, /) -> None: ...


@dataclass
class WithChores:
    """Calls `batches`, and after each micro-batch the chores of the process that writes its tables.

    A chore that fails ends the query, as a micro-batch would; repeating that micro-batch adds no row twice.
    """

    batches: Callable[[DataFrame, int], None]
    chores: tuple[Callable[[], object], ...]
    failure: Exception | None = field(default=None, init=False)
    is_ending: bool = field(default=False, init=False)

    def __call__(self, rows: DataFrame, batch_id: int) -> None:
        """The micro-batch, then the chores."""
        if self.is_ending:
            # Raised, not returned: Spark would regard the micro-batch as done.
            raise EndingError
        try:
            self.batches(rows, batch_id)
            for chore in self.chores:
                chore()
        except Exception as error:
            self.failure = error
            raise


class EndingError(Exception):
    """Raised instead of starting a micro-batch whose query is to end: the next start runs it."""


@dataclass
class RunningQuery:
    """A started query with the function it calls for each micro-batch, and those to call when it has ended."""

    name: str
    query: StreamingQuery
    batches: MicroBatches
    checkpoint: Path
    ended: tuple[Callable[[], None], ...] = ()

    def raise_failure(self) -> None:
        """Raises the error that ended the query, the original one if a micro-batch raised it; nothing while it runs."""
        if self.query.isActive:
            return
        failure, error = self.batches.failure, self.query.exception()
        if failure is not None:
            # A source is read during a micro-batch of ours, so errors of the source are raised there too.
            is_spark_s = isinstance(failure, Py4JJavaError | PySparkException)
            raise (self._known_error(failure) if is_spark_s else None) or failure
        if error is not None and not self.batches.is_ending:
            raise self._known_error(error) or self._unknown_error(error)

    def end_soon(self) -> None:
        """Lets the query end after its current micro-batch."""
        self.batches.is_ending = True

    def stop(self, *, within_seconds: float) -> None:
        """Ends the query between two micro-batches; after the given time in the middle of one, which the next
        start then repeats.

        All of `ended` are called, even if one fails. Then the first error is raised, and the others are logged.
        """
        self.end_soon()
        _raise_first(_errors_of((partial(self._stop_query, within_seconds), *self.ended)))

    def _stop_query(self, within_seconds: float) -> None:
        end = time.monotonic() + within_seconds
        # A busy stream has hardly any time between two micro-batches: `is_ending` makes the next one end it.
        try:
            while self.query.isActive and self.query.status["isTriggerActive"] and time.monotonic() < end:
                time.sleep(0.02)
        finally:
            self.query.stop()

    def _known_error(self, error: Exception) -> StateError | None:
        text = str(error)
        for mark, meaning, advice in _KNOWN:
            if mark in text:
                return StateError(meaning, where=f"stream {self.name}", do=advice)
        return None

    def _unknown_error(self, error: StreamingQueryException) -> TransientError:
        text = " ".join(str(error).split())
        return TransientError(
            "the stream stopped", where=f"stream {self.name}, {self.checkpoint}", found=text[:300],
            do="Start it again; if that fails too, start over with --rebuild",
        )  # fmt: skip


@contextmanager
def ended_together(*, within_seconds: float) -> Iterator[list[RunningQuery]]:
    """A list for running queries, all of which are stopped when the block ends; each may take so many seconds.

    The error that ended the block is raised, else the first error in stopping a query. Other errors are logged.
    """
    running: list[RunningQuery] = []
    try:
        yield running
    except BaseException:
        _log_all(_errors_of_stopping(running, within_seconds))
        raise
    _raise_first(_errors_of_stopping(running, within_seconds))


@contextmanager
def ended_on_failure(closers: tuple[Callable[[], None], ...]) -> Iterator[None]:
    """Calls all of `closers` if the block raises; their own errors are logged."""
    try:
        yield
    except BaseException:
        _log_all(_errors_of(closers))
        raise


def _errors_of_stopping(running: list[RunningQuery], within_seconds: float) -> list[Exception]:
    for one in running:
        one.end_soon()
    return _errors_of(partial(one.stop, within_seconds=within_seconds) for one in running)


def _errors_of(calls: Iterable[Callable[[], None]]) -> list[Exception]:
    """Calls all, one after the other; the errors of those that failed."""
    errors: list[Exception] = []
    for call in calls:
        try:
            call()
        except Exception as error:
            errors.append(error)
    return errors


def _raise_first(errors: list[Exception]) -> None:
    if errors:
        _log_all(errors[1:])
        raise errors[0]


def _log_all(errors: list[Exception]) -> None:
    for error in errors:
        _log.warning("while the streams were stopped: %s: %s", type(error).__name__, error)


_GONE = (
    "the topic no longer has the records that come next: they expired, or it was created again",
    "Start over with --rebuild: what the topic still has is ingested, no event is counted twice",
)
FILE_GONE = ("FAILED_READ_FILE", "DELTA_FILE_NOT_FOUND", "FileNotFoundException")
"""Marks of a file that was removed before it was read."""

VACUUMED = (
    "files of the table that come next are gone: the stream was stopped for longer than the table keeps them",
    "Start over with --rebuild: nothing is lost or doubled; a table of the shop needs freshet ingest before it",
)
_MADE_ANEW = (
    "the table was created again since the stream started",
    "Start over with --rebuild: the new table is ingested from its first version",
)
_CHANGED = (
    "rows of the table were changed or deleted, and only appended rows are ingested",
    "Set service.skip_changed_commits=true to skip such commits, with all rows that they add",
)
_DAMAGED = (
    "the checkpoint is damaged, or was written by another release of Spark",
    "Start over with --rebuild: nothing is lost or doubled",
)

_FULL = (
    "the disk is full",
    "Free some space and start it again: nothing is lost or doubled",
)

_MAPPING = (
    "a time zone, time format or regular expression of the mapping cannot be used",
    "Correct the mapping, and start over with --rebuild: nothing is lost or doubled",
)

_KNOWN = tuple(
    (mark, *meaning)
    for meaning, marks in (
        (_MAPPING, MISTAKES_FOUND_LATE),
        (_FULL, NO_SPACE),
        (_GONE, ("KAFKA_DATA_LOSS", "Some data may have been lost", "OffsetOutOfRange")),
        (VACUUMED, (*FILE_GONE, "DELTA_VERSIONS_NOT_CONTIGUOUS", "DELTA_CANNOT_RECREATE")),
        (_MADE_ANEW, ("DIFFERENT_DELTA_TABLE_READ_BY_STREAMING_SOURCE",)),
        (_CHANGED, ("DELTA_SOURCE_TABLE_IGNORE_CHANGES", "DELTA_SOURCE_IGNORE_DELETE")),
        (_DAMAGED, ("CANNOT_LOAD_STATE", "STATE_STORE_", "Incomplete log file", "MALFORMED_LOG_FILE",
                    "MISSING_METADATA", "CHECKPOINT_FILE_CHECKSUM")),
    )
    for mark in marks
)  # fmt: skip


_INTERRUPTIONS = ("java.lang.InterruptedException", "InterruptedIOException", "ClosedByInterruptException")


def with_short_errors(batches: Callable[[DataFrame, int], None]) -> Callable[[DataFrame, int], None]:
    """`batches` as Spark should call it: errors reach Spark without their stack traces.

    Spark searches the error's text for an interruption, with a pattern that needs stack space for each character: with
    a few thousand of them the stream's thread ends in a stack overflow, which hides the error and fills the terminal.
    `batches` keeps the error itself."""

    def call(rows: DataFrame, batch_id: int) -> None:
        try:
            batches(rows, batch_id)
        except Exception as error:
            words = f"the micro-batch failed: {type(error).__name__}"
            if any(name in str(error) for name in _INTERRUPTIONS):
                # The form by which Spark recognises that the query was only stopped.
                words = f"py4j.protocol.Py4JJavaError: An error occurred while calling: {_INTERRUPTIONS[0]}"
            raise RuntimeError(words) from None

    return call


def started(
    name: str,
    rows: DataFrame,
    batches: MicroBatches,
    *,
    checkpoint: Path,
    every_seconds: float,
    ended: tuple[Callable[[], None], ...] = (),
) -> RunningQuery:
    """Starts the query `rows`; with 0 seconds each micro-batch starts as soon as the last has ended. `ended` are called
    after it was stopped."""
    writer = rows.writeStream.queryName(name).option("checkpointLocation", str(checkpoint))
    writer = writer.trigger(processingTime=f"{int(every_seconds * 1000)} milliseconds")
    return RunningQuery(name, writer.foreachBatch(with_short_errors(batches)).start(), batches, checkpoint, ended)
