"""Shoppers' histories as the state of a stream, in one SQLite file next to the checkpoint.

A micro-batch costs some 80 microseconds per shopper in a running service, where Spark's own state took 300 to read,
merge and write a history of 50 entries. Adding events twice has the same effect as adding them once, and a micro-batch
is in the file completely or not at all. So the file and the checkpoint need no common transaction: a micro-batch that
is repeated after a crash leaves the same state.
"""

import errno
import os
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from freshet.contracts.shoppers import ANONYMOUS_PREFIX
from freshet.core.errors import BusyError, StateError
from freshet.ranking.histories.packed_histories import NAME_BITS, PackedHistories, merged, microseconds, packed_what
from freshet.service.lists.codes import Codes
from freshet.service.lists.logins import read

_TABLES = """
create table if not exists histories (id text primary key, entries blob not null);
create table if not exists sessions (id text primary key, logins text not null);
create table if not exists items (code integer primary key, text text not null);
create table if not exists names (code integer primary key, text text not null);
create table if not exists progress (name text primary key, value integer not null);
"""

LAYOUT = "time, key, order, what; sessions as runs"
"""Layout of the entries in the file. A checkpoint with another layout cannot be used."""

_ENTRY_BYTES = 32
SHOPPERS_AT_A_TIME = 20_000
"""Their histories are in memory together: some 30 MB where shoppers have 50 entries."""


class HistoryStore:
    """The newest `most` entries of every shopper, and who logged in under which anonymous id.

    For one process, which the lease of the lists' tables ensures, and one thread at a time.
    """

    def __init__(self, path: Path, *, most: int) -> None:
        """Opens the file, or creates it. Raises StateError when it is damaged."""
        self._path, self._most = path, most
        # Callbacks of micro-batches come on threads of their own, one after the other.
        self._base = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        with self._with_own_errors():
            # Histories of a few kilobytes fit a page, so that a write does not touch rows of other shoppers.
            self._base.execute("pragma page_size = 8192")
            # Only one connection: a second one is refused, and no memory is shared through the file system, which does
            # not work on network disks.
            self._base.execute("pragma locking_mode = exclusive")
            # A killed process loses nothing. A machine that loses power loses at most the newest micro-batches, which
            # `apply_events` notices; waiting for the disk would take most of the time of each micro-batch.
            self._base.execute("pragma journal_mode = wal")
            self._base.execute("pragma synchronous = normal")
            self._base.execute("pragma wal_autocheckpoint = 4000")
            self._base.execute("pragma cache_size = -65536")  # 64 MB; the operating system caches the rest
            self._base.execute("pragma temp_store = memory")
            self._base.executescript(_TABLES)
            self._base.execute("create temp table wanted (place integer primary key, id text not null)")
            self._items, self._names = Codes(self._base, "items"), Codes(self._base, "names")
            self._progress = dict(self._base.execute("select name, value from progress"))
            self.shoppers: int = self._base.execute("select count(*) from histories").fetchone()[0]

    def close(self) -> None:
        """Closes the file; without it nothing is lost either."""
        self._base.close()

    @property
    def batch(self) -> int:
        """The newest micro-batch whose events were added; -1: none."""
        return int(self._progress.get("batch", -1))

    @property
    def clock(self) -> datetime | None:
        """Newest event time of all events that were ever added, UTC without a zone; None before the first."""
        moment = self._progress.get("clock")
        return None if moment is None else datetime.fromtimestamp(moment / 1e6, UTC).replace(tzinfo=None)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commits all changes made within, or none."""
        before = dict(self._progress), self.shoppers
        with self._with_own_errors():
            self._base.execute("begin immediate")
            try:
                yield
                self._base.execute("commit")
            except BaseException:
                if self._base.in_transaction:
                    self._base.execute("rollback")
                self._progress, self.shoppers = before
                self._items.forget()
                self._names.forget()
                raise

    def note(self, *, batch: int | None = None, newest: int | None = None) -> None:
        """Stores the number of a micro-batch, and the newest event time, in microseconds, if it is later than the
        stored one."""
        changes = {} if batch is None else {"batch": batch}
        if newest is not None and newest > self._progress.get("clock", -(2**63)):
            changes["clock"] = newest
        self._base.executemany("insert or replace into progress values (?, ?)", changes.items())
        self._progress.update(changes)

    def packed(self, events: pa.Table) -> NDArray[np.int64]:
        """Entries (time, key, order, what) of STREAM_EVENT rows that have an item. Raises StateError for too many event
        names."""
        names = self._names.of(events.column("event_name"))
        if len(self._names.texts) > 2**NAME_BITS:
            raise StateError(
                "there are too many event names", where=str(self._path), expected=f"{2**NAME_BITS} or less"
            )
        columns = [
            microseconds(events.column("event_time")).to_numpy(),
            events.column("entry_key").to_numpy(), events.column("order_key").to_numpy(),
            packed_what(self._items.of(events.column("item_id")), names),
        ]  # fmt: skip
        return np.stack(columns, axis=1) if events.num_rows else np.empty((0, 4), np.int64)

    def add(self, users: pa.Array | pa.ChunkedArray, entries: NDArray[np.int64]) -> None:
        """Adds an entry to the history of each user, in order of arrival; `users` and `entries` are parallel."""
        # In order of the ids, so that rows next to each other on disk are read and written together; the sort is
        # stable.
        by_user = pc.sort_indices(users)
        counted = pc.value_counts(users.take(by_user))
        ids, counts = counted.field("values").to_pylist(), counted.field("counts").to_numpy(zero_copy_only=False)
        rows, ends = by_user.to_numpy(), np.cumsum(counts)
        for start in range(0, len(ids), SHOPPERS_AT_A_TIME):
            stop = min(start + SHOPPERS_AT_A_TIME, len(ids))
            mine = rows[ends[start] - counts[start] : ends[stop - 1]]
            self._merge(ids[start:stop], counts[start:stop], entries[mine])

    def _merge(self, ids: list[str], counts: NDArray[np.int64], entries: NDArray[np.int64]) -> None:
        lengths, old, found = self._read(ids)
        kept, out = merged(lengths, old, counts, entries, self._most)
        raw, ends = out.data.cast("B"), (np.cumsum(kept) * _ENTRY_BYTES).tolist()
        rows = ((user, raw[first:last]) for user, first, last in zip(ids, [0, *ends], ends, strict=False))
        self._base.executemany("insert or replace into histories values (?, ?)", rows)
        self.shoppers += len(ids) - found

    def histories(self, users: Sequence[str]) -> PackedHistories:
        """The histories of these shoppers, an empty one for an unknown shopper."""
        lengths, entries, _ = self._read(users)
        return PackedHistories(lengths, entries, self._items.texts, self._names.texts)

    def _read(self, users: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
        """Lengths and entries of these shoppers' histories, and how many of the shoppers are known."""
        found = self._rows("histories", "entries", users)
        blobs = [found.get(user, b"") for user in users]
        lengths = np.fromiter((len(blob) // _ENTRY_BYTES for blob in blobs), np.int64, len(blobs))
        return lengths, np.frombuffer(b"".join(blobs), np.int64).reshape(-1, 4), len(found)

    def newest_times(self, users: Sequence[str]) -> dict[str, int]:
        """Event time of the newest entry, in microseconds, of the shoppers who have one."""
        found = self._rows("histories", "substr(entries, 1, 8)", users)
        return {user: int(np.frombuffer(first, np.int64)[0]) for user, first in found.items()}

    def forget(
        self, *, after: str, at_most: int, before: int | None, anonymous_before: int | None
    ) -> tuple[int, str | None]:
        """Checks the next `at_most` shoppers after `after`, in order of their ids, and removes those whose newest entry
        is older than `before`, or `anonymous_before` for anonymous ids (microseconds since 1970); None: never.

        Returns how many were removed and the last id checked, None at the end. Logins are kept: as long as a session
        exists, they decide whose its older entries are.
        """
        with self.transaction():
            seen = self._base.execute(
                "select id, substr(entries, 1, 8) from histories where id > ? order by id limit ?", (after, at_most)
            ).fetchall()
            removed = []
            for user, first in seen:
                oldest = anonymous_before if user.startswith(ANONYMOUS_PREFIX) else before
                if oldest is not None and int.from_bytes(first, sys.byteorder, signed=True) < oldest:
                    removed.append((user,))
            self._base.executemany("delete from histories where id = ?", removed)
            self.shoppers -= len(removed)
        return len(removed), seen[-1][0] if len(seen) == at_most else None

    def forget_logins(self, *, after: str, at_most: int, before: int | None) -> str | None:
        """Checks the logins under the next `at_most` anonymous ids, and removes those without a history whose newest
        login is older than `before`; None: never. Returns the last id checked, None at the end."""
        with self.transaction():
            seen = self._base.execute(
                "select id, logins from sessions where id > ? order by id limit ?", (after, at_most)
            ).fetchall()
            old = [(session,) for session, text in seen if before is not None and read(text)[-1][0] < before]
            self._base.executemany(
                "delete from sessions where id = ? and not exists (select 1 from histories h where h.id = sessions.id)",
                old,
            )
        return seen[-1][0] if len(seen) == at_most else None

    def logins(self, sessions: Sequence[str]) -> dict[str, str]:
        """The logins under these anonymous ids, as `logins.written` texts; ids without logins are left out."""
        return self._rows("sessions", "logins", sessions)

    def keep_logins(self, logins: dict[str, str]) -> None:
        """Stores logins by anonymous id."""
        self._base.executemany("insert or replace into sessions values (?, ?)", logins.items())

    def _rows(self, table: str, column: str, ids: Sequence[str]) -> dict[str, Any]:
        with self._with_own_errors():
            self._base.execute("delete from wanted")
            self._base.executemany("insert into wanted (id) values (?)", ((one,) for one in ids))
            return dict(self._base.execute(f"select id, {column} from wanted join {table} using (id)"))

    @contextmanager
    def _with_own_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_FULL:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path)) from error
            if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
                raise BusyError(
                    "another process has the histories of the stream open", where=str(self._path),
                    do="Wait until it ends, or stop it",
                ) from error  # fmt: skip
            raise StateError(
                "the histories of the stream cannot be read or written", where=str(self._path), found=str(error),
                do="Start over with --rebuild: nothing is lost or doubled",
            ) from error  # fmt: skip
