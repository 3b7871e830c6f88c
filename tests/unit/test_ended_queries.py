"""What ended a query, in one line that says what to do."""

import errno
from pathlib import Path
from typing import Any

import pytest
from pyspark.errors import PySparkException, StreamingQueryException

from freshet.core.errors import FreshetError, StateError, TransientError
from freshet.service.lifecycle.running import RunningQuery, WithChores

pytestmark = pytest.mark.unit


class Ended:
    """A query that has ended by an error."""

    isActive = False  # noqa: N815 - as Spark spells it

    def __init__(self, error: Exception | None) -> None:
        self._error = error

    def exception(self) -> Exception | None:
        return self._error


def query_of(error: Exception | None, failure: Exception | None = None) -> RunningQuery:
    batches, query = WithChores(lambda rows, batch_id: None, ()), Ended(error)
    batches.failure = failure
    spark_s: Any = query
    return RunningQuery("lists", spark_s, batches, Path("/home/shop/checkpoints"))


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("[INVALID_TIMEZONE] The timezone: Mars/Utopia", "of the mapping cannot be used"),
        ("[INVALID_PARAMETER_VALUE.PATTERN] [+", "of the mapping cannot be used"),
        ("java.io.IOException: No space left on device", "the disk is full.*nothing is lost"),
        ("[KAFKA_DATA_LOSS.COULD_NOT_READ_OFFSET_RANGE] Some data", "no longer has the records.*--rebuild"),
        ("[CANNOT_LOAD_STATE_STORE.UNCATEGORIZED] it broke", "the checkpoint is damaged.*--rebuild"),
        ("java.lang.IllegalStateException: Incomplete log file in /x/offsets/3", "the checkpoint is damaged"),
        ("java.io.FileNotFoundException: /x/part-0.parquet", "files of the table that come next are gone"),
        ("[DELTA_SOURCE_TABLE_IGNORE_CHANGES] Detected", "skip_changed_commits"),
        ("[DIFFERENT_DELTA_TABLE_READ_BY_STREAMING_SOURCE] x", "created again since the stream started"),
    ],
)
def test_known_ends_are_reported_in_words_wherever_they_came_to_light(message: str, line: str) -> None:
    for query in (query_of(StreamingQueryException(message)), query_of(None, failure=PySparkException(message))):
        with pytest.raises(StateError, match=line):
            query.raise_failure()


def test_an_unknown_end_may_pass_and_our_own_errors_stay_as_they_were() -> None:
    with pytest.raises(TransientError, match=r"the stream stopped.*a wire came loose"):
        query_of(StreamingQueryException("a wire came loose")).raise_failure()
    ours = FreshetError("of ours, which quotes: No space left on device")
    full = OSError(errno.ENOSPC, "No space left on device")  # reported in the same words wherever it comes from
    for failure in (ours, full, ValueError("not known")):
        with pytest.raises(type(failure)) as raised:
            query_of(None, failure=failure).raise_failure()
        assert raised.value is failure


def test_a_query_that_was_asked_to_end_has_not_failed() -> None:
    query = query_of(StreamingQueryException("the micro-batch failed: EndingError"))
    query.end_soon()
    query.raise_failure()
