"""Leases that others have for seconds only, waited for."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path

from freshet.core.errors import BusyError, TransientError
from freshet.tables.leases import lease

_LOOK_SECONDS = 0.2


@contextmanager
def when_free(
    leased: Callable[[], AbstractContextManager[object]],
    *,
    seconds: float,
    notify: Callable[[str], None] = lambda _: None,
) -> Iterator[None]:
    """Holds what `leased` gives, waited for at most so long while it is busy; then its BusyError is raised.

    Who waits tells once for what.
    """
    end, is_told = time.monotonic() + seconds, False
    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(leased())
                break
            except BusyError as error:
                if time.monotonic() >= end:
                    raise
                if not is_told:
                    notify(f"{error.what}: waiting until it ends")
                is_told = True
                time.sleep(_LOOK_SECONDS)
        yield


@contextmanager
def lease_when_free(locks: Path, kind: str, name: str, *, seconds: float) -> Iterator[None]:
    """`lease`, waited for at most so long. Raises TransientError when another process has it for longer."""
    with ExitStack() as stack:
        try:
            stack.enter_context(when_free(partial(lease, locks, kind, name), seconds=seconds))
        except BusyError as error:
            raise TransientError(f"{error.what} for more than {seconds:g} s", where=str(locks.parent)) from None
        yield
