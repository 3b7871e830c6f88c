"""Work on a table that its writer has done beside its micro-batches, which would wait for seconds otherwise."""

from collections.abc import Callable
from threading import Thread


class Beside:
    """One piece of work at a time, in a thread of its own. An error that ended it is raised by the next look at it."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._running: Thread | None = None
        self._error: Exception | None = None

    def begin(self, work: Callable[[], object]) -> None:
        """Begins `work`; none may be running."""
        assert not self.is_running()
        self._running = Thread(target=self._done, args=(work,), name=self._name, daemon=True)
        self._running.start()

    def is_running(self) -> bool:
        """Whether it goes on."""
        if self._running is not None and not self._running.is_alive():
            self.wait()
        return self._running is not None

    def wait(self) -> None:
        """Waits for its end."""
        if self._running is not None:
            self._running.join()
            self._running = None
        error, self._error = self._error, None
        if error is not None:
            raise error

    def close(self) -> None:
        """Waits for its end; an error is of no matter any more."""
        if self._running is not None:
            self._running.join()
        self._running = self._error = None

    def _done(self, work: Callable[[], object]) -> None:
        try:
            work()
        except Exception as error:  # for the thread that looks
            self._error = error
