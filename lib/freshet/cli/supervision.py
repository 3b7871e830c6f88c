"""A service that starts again after a crash: a small process that starts the one which does the work, and waits.

The worker is told apart by its end: 0 and mistakes of the user (1, 2) are final; a signal that nobody sent through us,
an unexpected error and TRY_AGAIN are crashes.
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

_WATCHER = "FRESHET_SUPERVISOR"
"""Variable of the environment by which a worker knows the process that watches over it."""


@dataclass
class Restarts:
    """How long to wait before the next start after each crash. A start that has lasted begins the count anew."""

    params: ServiceParameters
    crashes: int = 0

    def wait_after(self, seconds: float) -> float | None:
        """Seconds to wait after a start that lasted `seconds`; None when it is time to give up."""
        if seconds >= self.params.settled_seconds:
            self.crashes = 0
        self.crashes += 1
        if self.crashes > self.params.restarts:
            return None
        return float(self.params.restart_seconds * 2 ** (self.crashes - 1))


def is_crash(code: int) -> bool:
    """Whether a worker that ended with this code (negative: by that signal) is to be started again."""
    return code < 0 or code in (TRY_AGAIN, UNEXPECTED)


def supervised(command: list[str], params: ServiceParameters) -> None:
    """Runs `command` as a worker until it ends by itself or a signal ends both.

    Ends this process with the worker's code, raises StateError when it crashed too often in succession. What begins
    anew (--rebuild) does so at the first start only: started again, the worker goes on.
    """
    restarts, stop = Restarts(params), threading.Event()
    while True:
        began = time.monotonic()
        code = _worked(command, stop)
        if stop.is_set() or not is_crash(code):
            sys.exit(max(code, 0))
        wait = restarts.wait_after(time.monotonic() - began)
        how = f"killed by signal {-code}" if code < 0 else f"ended with code {code}"
        if wait is None:
            raise StateError(
                f"the stream was {how}, {restarts.crashes} times in succession", where="freshet stream",
                do="What stands in the tables is whole; mend the reason told above, then start it again",
            )  # fmt: skip
        echo(f"freshet: the stream was {how}; start {restarts.crashes} follows in {wait:g} s", err=True)
        command = [word for word in command if word != "--rebuild"]
        if stop.wait(wait):
            sys.exit(0)


def _worked(command: list[str], stop: threading.Event) -> int:
    """The end of one worker. Signals to us are passed on to it: the first asks it to stop, the second kills it."""
    worker = subprocess.Popen(
        command,
        env={**os.environ, _WATCHER: str(os.getpid())},
        # A Ctrl-C would reach its JVM first, in the middle of a micro-batch.
        start_new_session=True,
    )

    def passed_on(number: int, _: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            if stop.is_set():
                os.killpg(worker.pid, signal.SIGKILL)
            else:
                worker.send_signal(signal.SIGTERM)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, passed_on)
    code = worker.wait()
    # A killed worker leaves its JVM behind for a while, which holds the tables' locks no more but may still write.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(worker.pid, signal.SIGKILL)
    return code


def stop_with_supervisor(
    stop: threading.Event, *, parent: Callable[[], int] = os.getppid, every_seconds: float = 1.0
) -> None:
    """Sets `stop` once the process that started this one to watch over it is gone; nothing where there is none."""
    watcher = os.environ.get(_WATCHER)
    if watcher is None:
        return

    def watch() -> None:
        while not stop.wait(every_seconds):
            if parent() != int(watcher):
                stop.set()

    threading.Thread(target=watch, name="supervisor-watch", daemon=True).start()
