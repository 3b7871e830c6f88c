"""Leases: one operating-system process per job and per written table.

On a local disk Delta's log store cannot keep two processes apart: it looks whether a commit exists and then
renames, so a second process may erase a commit in silence. An exclusive lock file per job and per table closes
that gap. The kernel drops the lock when its process dies, so a killed run leaves nothing to clean up.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from freshet.errors import BusyError


@contextmanager
def lease(locks: Path, kind: str, name: str) -> Iterator[None]:
    """Holds `kind` (job or table) `name` of one home. Raises BusyError at once when another process has it."""
    path = locks / f"{kind}-{name}.lock"
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(handle, 32).decode(errors="replace").strip() or "unknown"
            raise BusyError(
                f"{kind} {name} is in use by process {holder}",
                where=str(locks.parent),
                do="Wait until it ends, or use another --home",
            ) from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(handle)


@contextmanager
def leases(locks: Path, job: str, tables: list[str]) -> Iterator[None]:
    """The job's lease and one per table it writes, tables in name order so that two jobs cannot deadlock."""
    with ExitStack() as stack:
        stack.enter_context(lease(locks, "job", job))
        for table in sorted(tables):
            stack.enter_context(lease(locks, "table", table))
        yield
