"""Work beside micro-batches: one at a time, its error told once."""

import threading

import pytest

from freshet.streaming.beside import Beside


def test_work_goes_on_beside_and_its_end_is_seen() -> None:
    beside, go_on, done = Beside("work"), threading.Event(), list[int]()

    def work() -> None:
        assert go_on.wait(10)
        done.append(1)

    assert not beside.is_running()
    beside.begin(work)
    assert beside.is_running()
    assert done == []
    go_on.set()
    beside.wait()
    assert done == [1]
    assert not beside.is_running()


def test_an_error_is_raised_by_the_next_look_and_once() -> None:
    beside = Beside("work")

    def fails() -> None:
        raise ValueError("no")

    beside.begin(fails)
    with pytest.raises(ValueError, match="no"):
        beside.wait()
    assert not beside.is_running()
    beside.begin(lambda: None)
    beside.wait()
