"""Removes histories of shoppers who have not returned for long, some shoppers at a time, between micro-batches."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from freshet.runs.service_parameters import ServiceParameters
from freshet.service.lists.history_store import HistoryStore

_SHOPPERS_AT_A_TIME = 5_000
"""Some 20 ms of a micro-batch's time; a million shoppers are checked in 200 turns."""

_TURN = timedelta(seconds=5)


class Forgetting:
    """Checks all shoppers again and again: some every few seconds, with a pause of `rest` after the last one.

    Ages are relative to the store's event clock, so that a replay of old days removes nothing that was recent then.
    """

    def __init__(
        self, store: HistoryStore, parameters: ServiceParameters, *, rest: timedelta, now: Callable[[], datetime]
    ) -> None:
        self._store, self._parameters, self._rest, self._now = store, parameters, rest, now
        self._after, self._after_login = "", ""
        self._next = now() + _TURN

    def between_batches(self) -> int:
        """Checks the next shoppers when they are due; returns how many were removed."""
        clock = self._store.clock
        if clock is None or self._now() < self._next:
            return 0
        anonymous_before = _microseconds(clock, self._parameters.anonymous_history_days)
        forgotten, last = self._store.forget(
            after=self._after,
            at_most=_SHOPPERS_AT_A_TIME,
            before=_microseconds(clock, self._parameters.history_days),
            anonymous_before=anonymous_before,
        )
        last_login = self._store.forget_logins(
            after=self._after_login, at_most=_SHOPPERS_AT_A_TIME, before=anonymous_before
        )
        self._after, self._after_login = last or "", last_login or ""
        # The shorter of the two passes starts again while the longer one continues.
        self._next = self._now() + (_TURN if last or last_login else self._rest)
        return forgotten


def _microseconds(clock: datetime, days: float) -> int | None:
    """The moment `days` before the clock, since 1970 UTC; None for 0 days: never."""
    return int((clock.replace(tzinfo=UTC) - timedelta(days=days)).timestamp() * 1e6) if days else None
