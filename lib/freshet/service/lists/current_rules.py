"""The rules and the unavailable items that hold now, as a stream needs them in every micro-batch."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from freshet.contracts import ITEMS_HISTORY, MERCHANDISING_RULES, USER_ATTRIBUTES
from freshet.core.errors import InputError
from freshet.rules.compiled import mark_used
from freshet.rules.parameters import RuleParameters
from freshet.runs.merchandising import rules_in_force
from freshet.tables.warehouse import Warehouse

_TABLES = (ITEMS_HISTORY, MERCHANDISING_RULES, USER_ATTRIBUTES)


@dataclass
class CurrentRules:
    """The folder of the rules in force, within `folder`; None while there are none and all items are available.

    The tables are checked again after `seconds`, and rules compiled again only if a table has changed or the time has
    come at which a rule begins, ends or compares an attribute with now. `now` returns the wall time, UTC without a
    zone. Rules that cannot be read raise InputError at first; later the rules before them stay in force, and `notify`
    is called once.
    """

    warehouse: Warehouse
    folder: Path
    params: RuleParameters
    seconds: float
    now: Callable[[], datetime]
    notify: Callable[[str], None]
    _saved: Path | None = field(default=None, init=False)
    _versions: tuple[int, ...] | None = field(default=None, init=False)
    _changes_at: datetime | None = field(default=None, init=False)
    _until: float = field(default=0.0, init=False)

    def __call__(self) -> Path | None:
        if time.monotonic() >= self._until:
            versions = tuple(self.warehouse.version(table) for table in _TABLES)
            if versions != self._versions or self._is_time() or not self._is_kept():
                self._compile()
                self._versions = versions
            self._until = time.monotonic() + self.seconds
        return self._saved

    def _compile(self) -> None:
        try:
            compiled = rules_in_force(self.warehouse, self.now(), self.params)
        except InputError as error:
            if self._versions is None:
                raise
            self.notify(f"the earlier rules stay in force: {error}")
            self._changes_at = None
            return
        self._saved = compiled.save(self.folder) if compiled.changes_lists else None
        self._changes_at = compiled.changes_at

    def _is_time(self) -> bool:
        return self._changes_at is not None and self.now() >= self._changes_at

    def _is_kept(self) -> bool:
        """Whether the folder, if there is one, is still there; marks it as in use."""
        return self._saved is None or mark_used(self._saved)
