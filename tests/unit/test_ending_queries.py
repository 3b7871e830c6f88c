"""The end of several queries: an error in ending one leaves nothing open, and is raised."""

from pathlib import Path
from typing import Any

import pytest

from freshet.core.errors import StateError
from freshet.service.lifecycle.running import RunningQuery, WithChores, ended_together

pytestmark = pytest.mark.unit


class Query:
    """A query at rest that notes its end, which may fail."""

    def __init__(self, name: str, ended: list[str], error: Exception | None = None) -> None:
        self.name, self._ended, self._error = name, ended, error
        self.isActive, self.status = True, {"isTriggerActive": False}

    def stop(self) -> None:
        self._ended.append(self.name)
        if self._error is not None:
            raise self._error


def running(name: str, ended: list[str], *, query: Exception | None = None, closer: Exception | None = None) -> Any:
    """A running query with two closers; stopping the query or the first closer fails with these errors."""

    def first() -> None:
        ended.append(f"{name} first")
        if closer is not None:
            raise closer

    spark_s: Any = Query(name, ended, query)
    closers = (first, lambda: ended.append(f"{name} second"))
    return RunningQuery(name, spark_s, WithChores(lambda rows, batch_id: None, ()), Path("/nowhere"), closers)


ALL = ["a", "a first", "a second", "b", "b first", "b second"]


def test_an_error_of_one_end_leaves_no_query_running_and_no_closer_out() -> None:
    for query, closer in ((OSError("one"), None), (None, OSError("one")), (OSError("one"), OSError("two"))):
        ended: list[str] = []
        with pytest.raises(OSError, match="one"), ended_together(within_seconds=1) as queries:
            queries += [running("a", ended, query=query, closer=closer), running("b", ended, query=OSError("three"))]
        assert ended == ALL


def test_a_query_whose_state_cannot_be_asked_is_closed_all_the_same() -> None:
    ended: list[str] = []
    one = running("a", ended)
    one.query.status = {}
    with pytest.raises(KeyError):
        one.stop(within_seconds=1)
    assert ended == ["a", "a first", "a second"]


def test_what_ended_the_block_is_raised_and_not_what_went_wrong_afterwards(caplog: pytest.LogCaptureFixture) -> None:
    ended: list[str] = []

    def broken() -> None:
        with ended_together(within_seconds=1) as queries:
            queries += [running("a", ended, query=OSError("no answer")), running("b", ended)]
            raise StateError("the stream broke")

    with pytest.raises(StateError, match="the stream broke"):
        broken()
    assert ended == ALL
    assert "no answer" in caplog.text


def test_all_queries_are_asked_to_end_before_the_first_is_waited_for() -> None:
    ending: list[bool] = []
    with ended_together(within_seconds=1) as queries:
        queries += [running("a", []), running("b", [])]
        queries[0].query.stop = lambda: ending.append(queries[1].batches.is_ending)
    assert ending == [True]
