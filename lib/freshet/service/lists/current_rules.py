"""The rules and the unavailable items that hold now, as a stream needs them in every micro-batch."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from freshet.contracts import ITEMS_HISTORY, MERCHANDISING_RULES, USER_ATTRIBUTES
from freshet.core.errors import InputError
from freshet.rules.compiled import mark_used
from freshet.rules.parameters import RuleParameters
from freshet.runs.merchandising import rules_in_force
from freshet.tables.maintenance.background import BackgroundTask
from freshet.tables.warehouse import Warehouse

_TABLES = (ITEMS_HISTORY, MERCHANDISING_RULES, USER_ATTRIBUTES)


class _Saved(NamedTuple):
    """The folder of compiled rules, None if all lists are those of the model; when they change; whether any holds."""

    folder: Path | None
    changes_at: datetime | None
    has_rules: bool


@dataclass
class CurrentRules:
    """The folder of the rules in force, within `folder`; None while there are none and all items are available.

    The tables are checked again after `seconds`, and rules compiled again only if a table has changed or the time has
    come at which a rule begins, ends or compares an attribute with now. `now` returns the wall time, UTC without a
    zone. Rules that cannot be read raise InputError at first; later the rules before them stay in force, and `notify`
    is called once.

    While rules are in force, they are compiled again in a thread of its own, which takes about a second for 1,000 rules
    and 60,000 items: micro-batches of that time have the earlier ones. Without rules there are only unavailable items
    to read, and the next micro-batch is without them.
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
    _has_rules: bool = field(default=False, init=False)
    _until: float = field(default=0.0, init=False)
    _compiling: BackgroundTask[_Saved] = field(default_factory=BackgroundTask, init=False)

    def __call__(self) -> Path | None:
        if self._compiling.is_pending and not self._compiling.is_running:
            self.wait()
        if time.monotonic() >= self._until and not self._compiling.is_pending:
            versions = tuple(self.warehouse.version(table) for table in _TABLES)
            is_kept = self._is_kept()
            if versions != self._versions or self._is_time() or not is_kept:
                is_first, self._versions = self._versions is None, versions
                if self._has_rules and is_kept:
                    self._compiling.start(self._compiled, "rules")
                else:
                    self._take(self._compiled, may_raise=is_first)
            self._until = time.monotonic() + self.seconds
        return self._saved

    def wait(self) -> None:
        """Waits until rules that are being compiled are in force, or are known to be wrong."""
        if self._compiling.is_pending:
            self._take(self._compiling.result, may_raise=False)

    def close(self) -> None:
        """Waits for rules that are being compiled; they do not come into force."""
        self._compiling.close()

    def _compiled(self) -> _Saved:
        made = rules_in_force(self.warehouse, self.now(), self.params)
        return _Saved(made.save(self.folder) if made.changes_lists else None, made.changes_at, bool(made.rules))

    def _take(self, made: Callable[[], _Saved | None], *, may_raise: bool) -> None:
        try:
            found = made()
        except InputError as error:
            if may_raise:
                self._versions = None
                raise
            self.notify(f"the earlier rules stay in force: {error}")
            self._changes_at = None
            return
        assert found is not None  # it was started
        self._saved, self._changes_at, self._has_rules = found

    def _is_time(self) -> bool:
        return self._changes_at is not None and self.now() >= self._changes_at

    def _is_kept(self) -> bool:
        """Whether the folder, if there is one, is still there; marks it as in use."""
        return self._saved is None or mark_used(self._saved)
