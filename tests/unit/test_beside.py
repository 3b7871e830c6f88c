"""Work beside micro-batches: one at a time, its error told once."""

import threading

import pytest

from freshet.tables.maintenance.background import BackgroundTask


def test_work_goes_on_beside_and_its_end_is_seen() -> None:
    beside, go_on, done = BackgroundTask[int](), threading.Event(), list[int]()

    def work() -> int:
        assert go_on.wait(10)
        done.append(1)
        return 7

    assert not beside.is_running
    assert beside.result() is None
    beside.start(work, "work")
    assert beside.is_running
    assert done == []
    go_on.set()
    assert beside.result() == 7
    assert done == [1]
    assert not beside.is_running
    assert not beside.is_pending


def test_an_error_is_raised_where_the_end_is_taken_and_once() -> None:
    beside = BackgroundTask[None]()

    def fails() -> None:
        raise ValueError("no")

    beside.start(fails, "fails")
    with pytest.raises(ValueError, match="no"):
        beside.result()
    assert not beside.is_running
    beside.start(fails, "fails")
    beside.close()
    assert not beside.is_pending
    beside.start(lambda: None, "works")
    beside.result()
