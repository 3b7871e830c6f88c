"""Work on a table in the background of its writer's micro-batches, which would otherwise wait for seconds."""

from collections.abc import Callable, Sequence
from threading import Thread
from typing import Generic, TypeVar

from freshet.contracts import TableContract
from freshet.tables.maintenance import operations
from freshet.tables.maintenance.parameters import CompactionParameters
from freshet.tables.warehouse import Warehouse

T = TypeVar("T")


class BackgroundTask(Generic[T]):
    """One task at a time, in a thread of its own; whoever started it asks for its result."""

    def __init__(self) -> None:
        self._thread: Thread | None = None
        self._ended: list[T | Exception] = []

    @property
    def is_pending(self) -> bool:
        """Whether there is a task whose result was not asked for yet."""
        return self._thread is not None

    @property
    def is_running(self) -> bool:
        """Whether the task is still running."""
        return self._thread is not None and self._thread.is_alive()

    def start(self, work: Callable[[], T], name: str) -> None:
        """Starts `work`; the result of an earlier task must have been asked for."""
        assert not self.is_pending
        self._thread = Thread(target=self._do, args=(work,), name=name, daemon=True)
        self._thread.start()

    def result(self) -> T | None:
        """Waits for the task and returns its result, None if none was started. Raises the error that ended it."""
        if self._thread is None:
            return None
        self._thread.join()
        self._thread = None
        ended = self._ended.pop()
        if isinstance(ended, Exception):
            raise ended
        return ended

    def close(self) -> None:
        """Waits for the task and ignores its result and its error."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
            self._ended.clear()

    def _do(self, work: Callable[[], T]) -> None:
        try:
            self._ended.append(work())
        except Exception as error:  # for the thread that asks for the result
            self._ended.append(error)


class Packing:
    """Packs the small files of tables to which micro-batches append, since readers open every file.

    Packs as soon as there may be enough of them: with `in_background` in a thread, while the next micro-batches run,
    otherwise at once.
    """

    def __init__(
        self, warehouse: Warehouse, tables: Sequence[TableContract], parameters: CompactionParameters,
        *, in_background: bool = True,
    ) -> None:  # fmt: skip
        self.warehouse, self.tables, self.parameters = warehouse, tuple(tables), parameters
        self._batches = 0
        self._work = BackgroundTask[None]() if in_background else None

    def is_packing(self) -> bool:
        """Whether files are being packed, which must not be removed then. To be called after each micro-batch, which it
        counts. Raises the error that ended a packing."""
        self._batches += 1
        if self._work is None:
            return False
        if self._work.is_running:
            return True
        self._work.result()
        return False

    def start_if_due(self) -> None:
        """Packs if there may be enough files by now. The last thing to do after a micro-batch: otherwise nothing else
        would be done when packing takes longer than the time until it is due again."""
        if self._batches < self.parameters.pack_from_files:
            return
        self._batches = 0
        if self._work is None:
            self._pack()
        else:
            self._work.start(self._pack, "packing")

    def wait(self) -> None:
        """Waits for a running packing. Raises the error that ended it."""
        if self._work is not None:
            self._work.result()

    def close(self) -> None:
        """Waits for a running packing and ignores its error."""
        if self._work is not None:
            self._work.close()

    def _pack(self) -> None:
        for table in self.tables:
            pack(self.warehouse, table, self.parameters)


def pack(warehouse: Warehouse, table: TableContract, parameters: CompactionParameters) -> int:
    """`operations.pack` with the parameters; returns the number of files that were replaced."""
    return operations.pack(warehouse, table, target_mb=parameters.pack_mb, from_files=parameters.pack_from_files)
