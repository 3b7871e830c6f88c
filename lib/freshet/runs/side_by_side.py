"""Runs steps in parallel: each starts as soon as the steps that it names in `after` have finished.

A single step leaves cores idle: while a query is planned, a commit is written, or a last task runs alone.
"""

from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import NamedTuple, Protocol

from pyspark import InheritableThread

from freshet.runs.job import Job
from freshet.runs.runner import StepResult, run_step
from freshet.runs.step import Step


class Listener(Protocol):
    """Is called with the progress of steps: `progressed` in the threads of the steps, the others in the caller's."""

    def started(self, step: Step) -> None: ...
    def progressed(self, step: Step, text: str) -> None: ...
    def finished(self, step: Step, result: StepResult) -> None: ...
    def failed(self, step: Step, error: BaseException) -> None: ...


class _End(NamedTuple):
    step: Step
    result: StepResult | None
    error: BaseException | None


def run_steps(job: Job, steps: Sequence[Step], listener: Listener) -> list[StepResult]:
    """Runs all steps, each after those of `steps` that it names in `after`. Returns the results in the given order.

    If a step fails, running steps are completed and no other step starts; then the first error is raised. An
    interruption, as from the keyboard, does not wait for running steps: they end with the Spark session.
    """
    waiting, running = list(steps), set[str]()
    results: dict[str, StepResult] = {}
    first_error: BaseException | None = None
    ends: SimpleQueue[_End] = SimpleQueue()
    while running or (waiting and first_error is None):
        if first_error is None:
            unfinished = running | {step.name for step in waiting}
            for step in [step for step in waiting if unfinished.isdisjoint(step.after)]:
                waiting.remove(step)
                running.add(step.name)
                listener.started(step)
                _start(step, job, listener, ends.put)
        step, result, error = ends.get()
        running.remove(step.name)
        if result is not None:
            results[step.name] = result
            listener.finished(step, result)
        elif error is not None:
            first_error = first_error or error
            listener.failed(step, error)
    if first_error is not None:
        raise first_error
    return [results[step.name] for step in steps]


def _start(step: Step, job: Job, listener: Listener, ended: Callable[[_End], None]) -> None:
    def work() -> None:
        try:
            # Tasks of different pools take turns; within one pool, the tasks of the first Spark job come first.
            job.spark.sparkContext.setLocalProperty("spark.scheduler.pool", step.name)
            result = run_step(step, job.with_progress(lambda text: listener.progressed(step, text)))
        except BaseException as error:
            ended(_End(step, None, error))
        else:
            ended(_End(step, result, None))

    # A daemon thread, so that an interrupted run does not wait for it.
    InheritableThread(target=work, name=step.name, daemon=True).start()
