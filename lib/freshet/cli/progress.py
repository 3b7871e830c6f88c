"""Steps of a run, told as they go: a line of what runs now, a line for each end and for what steps tell."""

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
    """`run_steps`, with a line for each step and what runs now below them."""
    with console.status(assembled()) as line:
        return run_steps(job, steps, _Told(console, line))


class _Told:
    """Several steps run at once: each line names its own."""

    def __init__(self, console: Output, line: Status) -> None:
        self._console, self._line = console, line
        self._now: dict[str, str] = {}
        self._lock = threading.Lock()

    def began(self, step: Step) -> None:
        self._show(step, "")

    def told(self, step: Step, text: str) -> None:
        self._console.print(f"    {step.name}: {text}", style="dim")
        self._show(step, f": {text}")

    def ended(self, step: Step, result: StepResult) -> None:
        self._show(step, None)
        for line in result_lines(result):
            self._console.print(line)

    def failed(self, step: Step, error: BaseException) -> None:
        self._show(step, None)
        self._console.print(assembled(f"{step.title:<34} ", ("failed", "red")))

    def _show(self, step: Step, text: str | None) -> None:
        """What this step is at, None at its end."""
        with self._lock:
            if text is None:
                self._now.pop(step.title, None)
            else:
                self._now[step.title] = text
            self._line.update(assembled("  ·  ".join(f"{title}{told}" for title, told in self._now.items())))
