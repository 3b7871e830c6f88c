"""Work in the background of micro-batches: one task at a time, its error raised once."""

import threading

import pytest

from freshet.tables.maintenance.background import BackgroundTask


def test_a_task_runs_in_the_background_and_its_end_is_seen() -> None:
    task, go_on, done = BackgroundTask[int](), threading.Event(), list[int]()

    def work() -> int:
        assert go_on.wait(10)
        done.append(1)
        return 7

    assert not task.is_running
    assert task.result() is None
    task.start(work, "work")
    assert task.is_running
    assert done == []
    go_on.set()
    assert task.result() == 7
    assert done == [1]
    assert not task.is_running
    assert not task.is_pending


def test_an_error_is_raised_where_the_end_is_taken_and_once() -> None:
    task = BackgroundTask[None]()

    def fails() -> None:
        raise ValueError("no")

    task.start(fails, "fails")
    with pytest.raises(ValueError, match="no"):
        task.result()
    assert not task.is_running
    task.start(fails, "fails")
    task.close()
    assert not task.is_pending
    task.start(lambda: None, "works")
    task.result()
