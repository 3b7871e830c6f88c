"""Leases: one operating-system process per job and per written table.

On a local disk Delta's log store cannot keep two processes apart: it checks whether a commit exists and then
renames, so a second process may silently overwrite a commit. An exclusive lock file per job and per table closes
that gap. The kernel drops the lock when its process dies, so a killed run leaves no lock behind.

Jobs that one process runs in parallel share a table's lease: they commit one at a time (see small_writes).
"""

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from freshet.core.errors import BusyError


@contextmanager
def lease(locks: Path, kind: str, name: str) -> Iterator[int]:
    """Holds `kind` (job or table) `name` of one home. Raises BusyError at once when another process has it.

    Yields the locked open file: a process that inherits it holds the lease too, until it ends.
    """
    path = locks / f"{kind}-{name}.lock"
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
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
        yield handle
    finally:
        os.close(handle)


@contextmanager
def leases(locks: Path, job: str, tables: list[str]) -> Iterator[None]:
    """The job's lease and one per table it writes, tables in name order so that two jobs cannot deadlock.

    Several jobs of this process can hold the lease of a table in this way.
    """
    with lease(locks, "job", job), table_leases(locks, tables):
        yield


@contextmanager
def table_leases(locks: Path, tables: list[str]) -> Iterator[None]:
    """The leases of the tables only, for a caller that holds the lease of its job already."""
    with ExitStack() as stack:
        for table in sorted(tables):
            stack.enter_context(_shared_lease(locks, table))
        yield


@dataclass
class _Held:
    """A table's lease that this process holds, and the number of jobs that share it."""

    lease: ExitStack
    holders: int = 0


_held: dict[Path, _Held] = {}
_changing = threading.Lock()


@contextmanager
def _shared_lease(locks: Path, table: str) -> Iterator[None]:
    place = locks.resolve() / table
    with _changing:
        if place not in _held:
            stack = ExitStack()
            stack.enter_context(lease(locks, "table", table))
            _held[place] = _Held(stack)
        _held[place].holders += 1
    try:
        yield
    finally:
        with _changing:
            held = _held[place]
            held.holders -= 1
            if not held.holders:
                _held.pop(place).lease.close()
