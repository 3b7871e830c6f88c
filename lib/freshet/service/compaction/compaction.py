"""Compaction: the lists in `recommendation_updates` are merged into `recommendations`.

Between two micro-batches the stream moves on to the next epoch (`advance`). While the next micro-batches run, all lists
of earlier epochs are merged into `recommendations` in one commit (`merge`). After that commit, again between two
micro-batches, the epochs that the *previous* compaction had merged are dropped (`drop`): a reader that opened
`recommendations` before a compaction and opens the updates after it still finds there what it has not seen.

A kill at any point loses and duplicates nothing: an epoch is dropped only by a process that has seen two commits of
merges that contain it, and merging the same lists again gives the same lists.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from pyspark.sql import functions as F

from freshet.contracts import RECOMMENDATION_UPDATES, RECOMMENDATIONS
from freshet.core.errors import BusyError
from freshet.service.compaction.list_merge import MergeProcess
from freshet.service.compaction.list_table import write_lists_by_spark
from freshet.service.lists.latest import latest_recommendations
from freshet.tables.format.data_files import NotPlainError
from freshet.tables.leases import lease
from freshet.tables.maintenance import operations
from freshet.tables.maintenance.background import BackgroundTask, Packing
from freshet.tables.maintenance.parameters import CompactionParameters
from freshet.tables.warehouse import Warehouse


@dataclass(frozen=True)
class CompactionReport:
    """What a compaction did: the newest epoch it merged, and whether it could (False: `recommendations` was in use)."""

    epoch: int
    merged: bool
    lists: int = 0
    merge_seconds: float = 0.0
    files_dropped: int = 0
    pause_seconds: float = 0.0


class Compaction:
    """The compactions of one stream, which is the only writer of `recommendation_updates`.

    Every method but `merge` is called between two micro-batches in the thread that runs them; first after
    the first micro-batch of a start, which may be a repeated one and looks for its own lists. `warehouse` must
    have the session of the application, not that of a micro-batch. `now` returns the wall time, UTC without a zone.
    """

    def __init__(
        self, warehouse: Warehouse, locks: Path, parameters: CompactionParameters, now: Callable[[], datetime]
    ) -> None:
        warehouse.create(RECOMMENDATION_UPDATES)
        self.warehouse, self.locks, self.parameters, self.now = warehouse, locks, parameters, now
        self._epoch = operations.highest_partition(warehouse, RECOMMENDATION_UPDATES, "epoch") or 0
        # Lists have waited since their file was written, also across a restart.
        self._started = min(now(), operations.oldest_file(warehouse, RECOMMENDATION_UPDATES) or now())
        self._merged: int | None = None
        self._droppable: int | None = None
        self._process = MergeProcess()
        self._merging = BackgroundTask[CompactionReport]()
        self._packing = Packing(warehouse, (RECOMMENDATION_UPDATES,), parameters)

    @property
    def epoch(self) -> int:
        """The epoch that a micro-batch writes into its rows; ask once per micro-batch."""
        return self._epoch

    def between_batches(self) -> CompactionReport | None:
        """Does what is due now: finishes a compaction that is ready, starts one, packs. Returns the report of a
        finished one.

        Packing runs in the background of the next micro-batches. Until it has ended, no files that it packs are
        dropped."""
        if self._packing.is_packing():
            return None
        report = self.finish_if_ready()
        if self.due(self.now()):
            self.start()
        self._packing.start_if_due()
        return report

    def due(self, now: datetime) -> bool:
        """Whether a compaction should start: none is running, and the last one started `every_minutes` ago or
        earlier."""
        return not self._merging.is_pending and now - self._started >= timedelta(minutes=self.parameters.every_minutes)

    def start(self) -> None:
        """Moves on to the next epoch and merges the earlier ones in a thread of its own; without new lists it merges
        nothing."""
        self._started = self.now()
        highest = operations.highest_partition(self.warehouse, RECOMMENDATION_UPDATES, "epoch")
        if highest is None or (self._merged is not None and highest <= self._merged):
            # As much time has passed as before any other drop, so what the last compaction merged may be dropped.
            self._droppable = self._merged
            self._tidy(self.drop())
            return
        epoch = self.advance()
        self._merging.start(partial(self.merge, epoch), f"compaction-{epoch}")

    def finish_if_ready(self, *, wait: bool = False) -> CompactionReport | None:
        """Drops what may be dropped after a merge has committed; None while it runs or if none was started.

        Raises the error that ended the merge. If another process uses `recommendations`, that is no error and the merge
        is skipped.
        """
        if self._merging.is_running and not wait:
            return None
        outcome, started = self._merging.result(), time.monotonic()
        if outcome is None:
            return None
        dropped = self.drop() if outcome.merged else 0
        self._tidy(dropped)
        return CompactionReport(
            outcome.epoch, outcome.merged, outcome.lists, outcome.merge_seconds, dropped, time.monotonic() - started
        )

    def advance(self) -> int:
        """Moves on to the next epoch and returns the one that ends. No micro-batch may be running."""
        ended, self._epoch = self._epoch, self._epoch + 1
        return ended

    def merge(self, epoch: int) -> CompactionReport:
        """`recommendations` := the newest list per shopper of it and of the updates up to `epoch`, in one commit."""
        started = time.monotonic()
        try:
            with lease(self.locks, "table", RECOMMENDATIONS.name) as lock:
                self.warehouse.create(RECOMMENDATIONS)
                lists = self._written(epoch, lock)
                self._droppable, self._merged = self._merged, epoch
                operations.vacuum(self.warehouse, RECOMMENDATIONS, hours=self.parameters.vacuum_hours)
                operations.shorten_log(self.warehouse, RECOMMENDATIONS)
        except BusyError:
            return CompactionReport(epoch, merged=False)
        return CompactionReport(epoch, True, lists, time.monotonic() - started)

    def _written(self, epoch: int, lock: int) -> int:
        try:
            return self._process.run(self.warehouse.folder, up_to=epoch, lock=lock)
        except NotPlainError:
            # The features of a table were changed. Spark takes all cores, and the micro-batches wait.
            ended = self.warehouse.read(RECOMMENDATION_UPDATES).where(F.col("epoch") <= epoch)
            newest = latest_recommendations(self.warehouse.read(RECOMMENDATIONS), ended)
            return write_lists_by_spark(self.warehouse, newest)

    def drop(self) -> int:
        """Drops the epochs that the compaction before the last one had merged; returns the number of files."""
        if self._droppable is None:
            return 0
        return operations.drop_partitions(self.warehouse, RECOMMENDATION_UPDATES, "epoch", up_to=self._droppable)

    def end(self) -> None:
        """Waits for a running packing; a running merge is ended without effect."""
        self._process.close()
        self._packing.close()

    def close(self) -> CompactionReport | None:
        """Waits for a running packing and a running merge. Raises the error that ended one of them."""
        self._packing.wait()
        return self.finish_if_ready(wait=True)

    def _tidy(self, dropped: int) -> None:
        operations.vacuum(self.warehouse, RECOMMENDATION_UPDATES, hours=self.parameters.vacuum_hours)
        operations.remove_empty_partitions(self.warehouse, RECOMMENDATION_UPDATES, "epoch", below=self._epoch)
        if dropped:
            operations.shorten_log(self.warehouse, RECOMMENDATION_UPDATES)
