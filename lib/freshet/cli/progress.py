"""Shows the progress of a run: a status line of what runs now, a line for each finished step and each message."""

import threading
from collections.abc import Sequence

from rich.status import Status

from freshet.cli.output import Output, assembled
from freshet.cli.summary import result_lines
from freshet.runs.job import Job
from freshet.runs.runner import StepResult
from freshet.runs.side_by_side import run_steps
from freshet.runs.step import Step


def run_with_progress(job: Job, steps: Sequence[Step], console: Output) -> list[StepResult]:
    """Runs the steps with `run_steps`; prints a line for each one and shows what runs now below them."""
    with console.status(assembled()) as line:
        return run_steps(job, steps, _Progress(console, line))


class _Progress:
    """A listener of `run_steps`. Several steps run in parallel, so each line names its step."""

    def __init__(self, console: Output, line: Status) -> None:
        self._console, self._line = console, line
        self._running: dict[str, str] = {}
        self._lock = threading.Lock()

    def started(self, step: Step) -> None:
        self._show(step, "")

    def progressed(self, step: Step, text: str) -> None:
        self._console.print(f"    {step.name}: {text}", style="dim")
        self._show(step, f": {text}")

    def finished(self, step: Step, result: StepResult) -> None:
        self._show(step, None)
        for line in result_lines(result):
            self._console.print(line)

    def failed(self, step: Step, error: BaseException) -> None:
        self._show(step, None)
        self._console.print(assembled(f"{step.title:<34} ", ("failed", "red")))

    def _show(self, step: Step, text: str | None) -> None:
        """Sets the latest message of a running step; None removes a step that has ended."""
        with self._lock:
            if text is None:
                self._running.pop(step.title, None)
            else:
                self._running[step.title] = text
            self._line.update(assembled("  ·  ".join(f"{title}{shown}" for title, shown in self._running.items())))
