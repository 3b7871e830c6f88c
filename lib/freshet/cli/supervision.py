"""Restarts the service after a crash: a small supervisor process starts the worker process and waits for it.

The exit code of the worker decides: 0 and user errors (1, 2) are final; a signal that did not come through the
supervisor, an unexpected error and TRY_AGAIN are crashes.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from freshet.cli.errors import TRY_AGAIN, UNEXPECTED
from freshet.cli.output import echo
from freshet.core.errors import StateError
from freshet.runs.service_parameters import ServiceParameters

_SUPERVISOR = "FRESHET_SUPERVISOR"
"""Environment variable with the process id of a worker's supervisor."""


@dataclass
class Restarts:
    """How long to wait before each restart after a crash. A worker that has run long enough resets the count."""

    params: ServiceParameters
    crashes: int = 0

    def wait_after(self, seconds: float) -> float | None:
        """Seconds to wait before restarting a worker that ran for `seconds`; None after too many crashes."""
        if seconds >= self.params.settled_seconds:
            self.crashes = 0
        self.crashes += 1
        if self.crashes > self.params.restarts:
            return None
        return float(self.params.restart_seconds * 2 ** (self.crashes - 1))


def is_crash(code: int) -> bool:
    """Whether a worker that ended with this code (negative: killed by that signal) should be restarted."""
    return code < 0 or code in (TRY_AGAIN, UNEXPECTED)


def run_supervised(command: list[str], params: ServiceParameters) -> None:
    """Runs `command` as a worker until it ends by itself or a signal ends both processes.

    Exits with the worker's code; raises StateError after too many consecutive crashes. --rebuild applies to the first
    start only: a restarted worker continues.
    """
    restarts, stop = Restarts(params), threading.Event()
    while True:
        started = time.monotonic()
        code = _run_worker(command, stop)
        if stop.is_set() or not is_crash(code):
            sys.exit(max(code, 0))
        wait = restarts.wait_after(time.monotonic() - started)
        how = f"killed by signal {-code}" if code < 0 else f"ended with code {code}"
        if wait is None:
            raise StateError(
                f"the stream was {how}, {restarts.crashes} times in succession", where="freshet stream",
                do="The tables are intact; correct the error reported above, then start it again",
            )  # fmt: skip
        echo(f"freshet: the stream was {how}; start {restarts.crashes} follows in {wait:g} s", err=True)
        command = [word for word in command if word != "--rebuild"]
        if stop.wait(wait):
            sys.exit(0)


def _run_worker(command: list[str], stop: threading.Event) -> int:
    """The exit code of one worker. Signals are passed on to it: the first asks it to stop, the second kills it."""
    worker = subprocess.Popen(
        command,
        env={**os.environ, _SUPERVISOR: str(os.getpid())},
        # A Ctrl-C would reach its JVM first, in the middle of a micro-batch.
        start_new_session=True,
    )

    def pass_on(number: int, _: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            if stop.is_set():
                os.killpg(worker.pid, signal.SIGKILL)
            else:
                worker.send_signal(signal.SIGTERM)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, pass_on)
    code = worker.wait()
    # The JVM of a killed worker lives on for a while; it no longer holds the locks of tables but may still write.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(worker.pid, signal.SIGKILL)
    return code


def stop_with_supervisor(
    stop: threading.Event, *, parent: Callable[[], int] = os.getppid, every_seconds: float = 1.0
) -> None:
    """Sets `stop` once the supervisor of this process has ended; does nothing if there is no supervisor."""
    supervisor = os.environ.get(_SUPERVISOR)
    if supervisor is None:
        return

    def watch() -> None:
        while not stop.wait(every_seconds):
            if parent() != int(supervisor):
                stop.set()

    threading.Thread(target=watch, name="supervisor-watch", daemon=True).start()
