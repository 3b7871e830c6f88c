"""Work on a table that its writer has done beside its micro-batches, which would wait for seconds otherwise."""

from collections.abc import Callable, Sequence
from threading import Thread
from typing import Generic, TypeVar

from freshet.contracts import TableContract
from freshet.tables.maintenance import operations as hygiene
from freshet.tables.maintenance.parameters import CompactionParameters
from freshet.tables.warehouse import Warehouse

T = TypeVar("T")


class BackgroundTask(Generic[T]):
    """One piece of work at a time, in a thread of its own, whose end is taken by who had it begun."""

    def __init__(self) -> None:
        self._thread: Thread | None = None
        self._ended: list[T | Exception] = []

    @property
    def is_pending(self) -> bool:
        """Whether there is work whose end was not taken yet."""
        return self._thread is not None

    @property
    def is_running(self) -> bool:
        """Whether it goes on."""
        return self._thread is not None and self._thread.is_alive()

    def begin(self, work: Callable[[], T], name: str) -> None:
        """Begins `work`; the end of what was begun before must have been taken."""
        assert not self.is_pending
        self._thread = Thread(target=self._do, args=(work,), name=name, daemon=True)
        self._thread.start()

    def taken(self) -> T | None:
        """Waits for the end and gives its result, None where nothing was begun. Raises the error that ended it."""
        if self._thread is None:
            return None
        self._thread.join()
        self._thread = None
        ended = self._ended.pop()
        if isinstance(ended, Exception):
            raise ended
        return ended

    def close(self) -> None:
        """Waits for the end; an error is of no matter any more."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
            self._ended.clear()

    def _do(self, work: Callable[[], T]) -> None:
        try:
            self._ended.append(work())
        except Exception as error:  # for the thread that takes the end
            self._ended.append(error)


class Packing:
    """Packs the small files of tables to which micro-batches append, of which readers open every one.

    As soon as there may be enough of them, beside the micro-batches that follow; at once where not `beside`.
    """

    def __init__(
        self, warehouse: Warehouse, tables: Sequence[TableContract], parameters: CompactionParameters,
        *, beside: bool = True,
    ) -> None:  # fmt: skip
        self.warehouse, self.tables, self.parameters = warehouse, tuple(tables), parameters
        self._batches = 0
        self._work = BackgroundTask[None]() if beside else None

    def goes_on(self) -> bool:
        """After each micro-batch: whether files are being packed, which must then not be removed. Raises the error that
        ended a packing."""
        self._batches += 1
        if self._work is None:
            return False
        if self._work.is_running:
            return True
        self._work.taken()
        return False

    def begin_if_due(self) -> None:
        """Packs what may be enough by now; last of what is done after a micro-batch, for else nothing would be done
        where packing takes longer than until it is due again."""
        if self._batches < self.parameters.pack_from_files:
            return
        self._batches = 0
        if self._work is None:
            self._pack()
        else:
            self._work.begin(self._pack, "packing")

    def wait(self) -> None:
        """Waits for what goes on. Raises the error that ended it."""
        if self._work is not None:
            self._work.taken()

    def close(self) -> None:
        """Waits for what goes on; an error is of no matter any more."""
        if self._work is not None:
            self._work.close()

    def _pack(self) -> None:
        for table in self.tables:
            pack(self.warehouse, table, self.parameters)


def pack(warehouse: Warehouse, table: TableContract, parameters: CompactionParameters) -> int:
    """hygiene.pack by the parameters."""
    return hygiene.pack(warehouse, table, target_mb=parameters.pack_mb, from_files=parameters.pack_from_files)
