"""The order of steps, and what an error in one of them does to the others: with steps that only say that they ran."""

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
from pyspark.sql import SparkSession

from freshet.cli import opening, submitted
from freshet.core.errors import StateError
from freshet.runs import side_by_side
from freshet.runs.home import Home
from freshet.runs.job import Job
from freshet.runs.registry import main_steps
from freshet.runs.runner import DONE, StepResult
from freshet.runs.settings import load_settings
from freshet.runs.side_by_side import run_steps
from freshet.runs.step import Step

LONG = 30.0
"""s after which a step that waits for another one gives up: only a wrong order takes so long."""


def step(name: str, *after: str) -> Step:
    return Step(name, after, writes=(), reads=(), sections=(), inputs=lambda job: {}, work=lambda job, print_: {})


class Log:
    """A listener that keeps all calls, in order."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def started(self, step: Step) -> None:
        self.lines.append(f"{step.name} began")

    def progressed(self, step: Step, text: str) -> None:
        self.lines.append(f"{step.name}: {text}")

    def finished(self, step: Step, result: StepResult) -> None:
        self.lines.append(f"{step.name} ended")

    def failed(self, step: Step, error: BaseException) -> None:
        self.lines.append(f"{step.name} failed")


@pytest.fixture
def job() -> Job:
    return Job(MagicMock(), MagicMock(), MagicMock())


@pytest.fixture
def works(monkeypatch: pytest.MonkeyPatch) -> dict[str, Callable[[Job], Any]]:
    """What the steps do, by name; nothing where there is no entry."""
    done: dict[str, Callable[[Job], Any]] = {}

    def run(step: Step, job: Job) -> StepResult:
        done.get(step.name, lambda job: None)(job)
        return StepResult(step.name, step.name, DONE, 0.0, {})

    monkeypatch.setattr(side_by_side, "run_step", run)
    return done


def test_a_step_begins_when_all_that_it_names_have_ended(job: Job, works: dict[str, Any]) -> None:
    log = Log()
    works["slow"] = lambda job: job.notify("halfway")
    results = run_steps(job, [step("both", "slow", "quick"), step("slow"), step("quick", "slow")], log)
    assert log.lines == [
        "slow began", "slow: halfway", "slow ended", "quick began", "quick ended", "both began", "both ended"
    ]  # fmt: skip
    assert [result.step for result in results] == ["both", "slow", "quick"]


def test_steps_that_do_not_name_each_other_run_at_once(job: Job, works: dict[str, Any]) -> None:
    meeting = threading.Barrier(2, timeout=LONG)
    works["one"] = works["other"] = lambda job: meeting.wait()
    run_steps(job, [step("one"), step("other")], Log())


def test_a_name_that_is_not_among_the_steps_is_no_hindrance(job: Job, works: dict[str, Any]) -> None:
    assert [result.step for result in run_steps(job, [step("late", "early")], Log())] == ["late"]


def test_an_error_lets_the_others_end_begins_nothing_and_is_raised(job: Job, works: dict[str, Any]) -> None:
    log, failed = Log(), threading.Event()
    log.failed = lambda step, error: (log.lines.append(f"{step.name} failed"), failed.set())  # type: ignore[method-assign,func-returns-value,assignment]

    def fails(job: Job) -> None:
        raise StateError("the model is gone")

    works["bad"] = fails
    works["good"] = lambda job: failed.wait(LONG)
    steps = [step("bad"), step("good"), step("after_bad", "bad"), step("after_good", "good")]
    with pytest.raises(StateError, match="the model is gone"):
        run_steps(job, steps, log)
    assert log.lines == ["bad began", "good began", "bad failed", "good ended"]


def test_of_two_errors_the_first_is_raised(job: Job, works: dict[str, Any]) -> None:
    first = threading.Event()

    def fails(text: str) -> None:
        first.wait(LONG) if text == "second" else None
        raise StateError(text)

    log = Log()
    log.failed = lambda step, error: first.set()  # type: ignore[method-assign]
    works["a"], works["b"] = lambda job: fails("second"), lambda job: fails("first")
    with pytest.raises(StateError, match="first"):
        run_steps(job, [step("a"), step("b")], log)


def test_shared_frames_are_shared_between_the_threads_of_a_run(job: Job) -> None:
    made: list[int] = []

    def make() -> Any:
        made.append(1)
        return MagicMock()

    frames = [job.with_progress(lambda text: None).shared("histories", make) for _ in range(2)]
    assert frames[0] is frames[1]
    assert made == [1]


def test_rows_that_steps_share_on_disk_are_made_once_and_gone_with_the_job(spark: SparkSession, tmp_path: Path) -> None:
    job, home = Job(MagicMock(), Home(tmp_path), MagicMock()), Home(tmp_path)
    left = home.kept / "left by a killed one"
    left.mkdir(parents=True)
    os.utime(left, (0, 0))
    rows = [job.with_progress(lambda text: None).kept("histories", lambda: spark.range(3)) for _ in range(2)]
    assert rows[0] is rows[1]
    assert rows[0].frame.count() == 3
    assert len(list(home.kept.glob("*/*"))) == 1
    job.close()
    job.spark.stop.assert_called_once_with()
    assert list(home.kept.iterdir()) == []


@pytest.mark.parametrize("is_submitted", [False, True])
def test_nothing_is_kept_behind_the_end_of_a_command_also_of_one_that_fails(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_submitted: bool
) -> None:
    session = MagicMock()
    monkeypatch.setattr(opening, "local_session", lambda *_, **__: session)
    monkeypatch.setattr(submitted, "spark_session", lambda *_, **__: session)
    settings = load_settings("test")
    opened = (
        submitted._submitted("x", tmp_path, settings) if is_submitted
        else opening.opened_job(tmp_path, "test", (), "local[1]")
    )  # fmt: skip

    def fails() -> None:
        with opened as job:
            assert job.kept("histories", lambda: spark.range(3)).folder.is_dir()
            raise StateError("as a step may")

    with pytest.raises(StateError, match="as a step may"):
        fails()
    session.stop.assert_called_once_with()
    assert list(Home(tmp_path).kept.iterdir()) == []


def test_the_main_job_names_only_steps_before_and_all_have_titles() -> None:
    names = [step.name for step in main_steps()]
    assert all(step.title for step in main_steps())
    for place, one in enumerate(main_steps()):
        assert set(one.after) <= set(names[:place]), one.name
    assert [one.name for one in main_steps() if not one.after] == ["ingest"]
