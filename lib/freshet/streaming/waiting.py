"""A lease that others have for seconds only, waited for."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from freshet.errors import BusyError, TransientError
from freshet.storage.lease import lease

_LOOK_SECONDS = 0.2


@contextmanager
def awaited_lease(locks: Path, kind: str, name: str, *, seconds: float) -> Iterator[None]:
    """`lease`, waited for at most so long. Raises TransientError when another process has it for longer."""
    end = time.monotonic() + seconds
    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(lease(locks, kind, name))
                break
            except BusyError as error:
                if time.monotonic() >= end:
                    raise TransientError(f"{error.what} for more than {seconds:g} s", where=str(locks.parent)) from None
                time.sleep(_LOOK_SECONDS)
        yield
