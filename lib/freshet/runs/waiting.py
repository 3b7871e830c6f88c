"""Waiting for leases that other processes hold for a short time."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path

from freshet.core.errors import BusyError, TransientError
from freshet.tables.leases import lease

_POLL_SECONDS = 0.2


@contextmanager
def when_free(
    acquire: Callable[[], AbstractContextManager[object]],
    *,
    seconds: float,
    notify: Callable[[str], None] = lambda _: None,
) -> Iterator[None]:
    """Holds the lease of `acquire`; waits up to `seconds` while it is busy, then raises its BusyError.

    `notify` is called once if it has to wait.
    """
    end, is_notified = time.monotonic() + seconds, False
    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(acquire())
                break
            except BusyError as error:
                if time.monotonic() >= end:
                    raise
                if not is_notified:
                    notify(f"{error.what}: waiting until it ends")
                is_notified = True
                time.sleep(_POLL_SECONDS)
        yield


@contextmanager
def lease_when_free(locks: Path, kind: str, name: str, *, seconds: float) -> Iterator[None]:
    """Holds `lease`; waits for it up to `seconds`. Raises TransientError if another process holds it for longer."""
    with ExitStack() as stack:
        try:
            stack.enter_context(when_free(partial(lease, locks, kind, name), seconds=seconds))
        except BusyError as error:
            raise TransientError(f"{error.what} for more than {seconds:g} s", where=str(locks.parent)) from None
        yield
