"""Steps of one run side by side: each begins as soon as the steps that it names in `after` have ended.

A step by itself leaves cores idle: while a plan is made, a commit is written, a single task is at its end.
"""

from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import NamedTuple, Protocol

from pyspark import InheritableThread

from freshet.runs.job import Job
from freshet.runs.runner import StepResult, run_step
from freshet.runs.step import Step


class Watcher(Protocol):
    """Hears what happens; `told` is called in the threads of the steps, the others in the caller's."""

    def began(self, step: Step) -> None: ...
    def told(self, step: Step, text: str) -> None: ...
    def ended(self, step: Step, result: StepResult) -> None: ...
    def failed(self, step: Step, error: BaseException) -> None: ...


class _End(NamedTuple):
    step: Step
    result: StepResult | None
    error: BaseException | None


def run_steps(job: Job, steps: Sequence[Step], watcher: Watcher) -> list[StepResult]:
    """Runs all steps, each after those of `steps` that it names in `after`; the results in the order of `steps`.

    When one fails, those that run go on to their end and no other begins; then the first error is raised. Broken off
    from outside, as from the keyboard, it leaves at once what runs: the end of the Spark session ends it.
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
                watcher.began(step)
                _start(step, job, watcher, ends.put)
        step, result, error = ends.get()
        running.remove(step.name)
        if result is not None:
            results[step.name] = result
            watcher.ended(step, result)
        elif error is not None:
            first_error = first_error or error
            watcher.failed(step, error)
    if first_error is not None:
        raise first_error
    return [results[step.name] for step in steps]


def _start(step: Step, job: Job, watcher: Watcher, ended: Callable[[_End], None]) -> None:
    def work() -> None:
        try:
            # Tasks of different pools take turns; in one pool those of the first job go first, whosever they are.
            job.spark.sparkContext.setLocalProperty("spark.scheduler.pool", step.name)
            result = run_step(step, job.with_progress(lambda text: watcher.told(step, text)))
        except BaseException as error:
            ended(_End(step, None, error))
        else:
            ended(_End(step, result, None))

    # A daemon, so that a run that is broken off does not wait for what its threads are at.
    InheritableThread(target=work, name=step.name, daemon=True).start()
