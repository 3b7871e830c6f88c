"""Which items are unavailable, as a stream needs it in every micro-batch."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from freshet.contracts import ITEMS_HISTORY
from freshet.ranking.availability import mark_used, save_unavailable
from freshet.tables.lookups.item_states import unavailable_items
from freshet.tables.warehouse import Warehouse


@dataclass
class Availability:
    """The file of currently unavailable items, in `folder`; None while all items are available.

    Table `items_history` is checked again after `seconds`, and read only if it has changed. `now` returns the wall
    time, UTC without a zone.
    """

    warehouse: Warehouse
    folder: Path
    seconds: float
    now: Callable[[], datetime]
    _file: Path | None = field(default=None, init=False)
    _version: int = field(default=-1, init=False)
    _until: float = field(default=0.0, init=False)

    def __call__(self) -> Path | None:
        if time.monotonic() >= self._until:
            version = self.warehouse.version(ITEMS_HISTORY)
            if version != self._version or not self._is_kept():
                self._file = save_unavailable(unavailable_items(self.warehouse, self.now()), self.folder)
                self._version = version
            self._until = time.monotonic() + self.seconds
        return self._file

    def _is_kept(self) -> bool:
        """Whether the file, if there is one, is still there; marks it as in use."""
        return self._file is None or mark_used(self._file)
