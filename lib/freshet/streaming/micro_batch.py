"""What happens in a micro-batch: lists of the shoppers it touched, appended in one commit, and a row of figures."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from pyspark.sql import DataFrame, Observation
from pyspark.sql import functions as F

from freshet.contracts import RECOMMENDATION_UPDATES, STREAM_METRICS
from freshet.storage.stamps import append_row
from freshet.storage.tables import Warehouse


@dataclass(frozen=True)
class ServedModel:
    """The champion of a moment: its version and generation, its artifact, the policy its lists are made by."""

    version: str
    generation: int
    artifact: Path
    policy: str


class Scorer(Protocol):
    """The scoring function that batch and stream share: (user_id, history) to (user_id, items, unknown_items)."""

    def __call__(
        self, histories: DataFrame, *, artifact: Path, clock: datetime, length: int, policy: str
    ) -> DataFrame: ...


@dataclass
class ListUpdates:
    """The function a stream of `touched_histories` calls for each micro-batch.

    `model` is asked once per micro-batch, so that all of it is made by one model. Shoppers whose newest event lies
    before `live_from` get no list: the batch has made theirs. `now` gives the wall time. What went wrong in a
    micro-batch stays in `failure`, since the query itself only passes its text on.
    """

    folder: Path
    query_id: str
    scorer: Scorer
    model: Callable[[], ServedModel]
    length: int
    live_from: datetime
    now: Callable[[], datetime]
    failure: Exception | None = field(default=None, init=False)
    _clock: datetime | None = field(default=None, init=False)
    _started: bool = field(default=False, init=False)

    def __call__(self, touched: DataFrame, batch_id: int) -> None:
        """Appends the lists and the figures of one micro-batch, each unless it stands in its table already."""
        try:
            self._run(touched, batch_id)
        except Exception as error:
            self.failure = error
            raise

    def _run(self, touched: DataFrame, batch_id: int) -> None:
        began = self.now()
        # The session of a micro-batch is a clone of the query's: settings of any other do not hold in it.
        warehouse = Warehouse(touched.sparkSession, self.folder)
        lists_stand, figures_stand = self._what_stands(warehouse, batch_id)
        model = self.model()
        seen = Observation("touched")
        # Each action would run the stateful plan again. Kept are due shoppers only, not the whole first slice.
        due = (
            touched.observe(seen, F.count(F.lit(1)).alias("shoppers"), F.max("newest_event_time").alias("newest"))
            .where(F.col("newest_event_time") >= F.lit(self.live_from))
            .persist()
        )
        try:
            lists = due.count()
            shoppers, newest = seen.get["shoppers"], seen.get["newest"]
            if not shoppers:
                return
            clock = newest if self._clock is None else max(newest, self._clock)
            unknown = 0
            if lists:
                rows, counted = self._rows(due, batch_id, clock, model)
                if lists_stand:
                    rows.count()
                else:
                    warehouse.append(rows, RECOMMENDATION_UPDATES)
                unknown = counted.get["unknown"]
        finally:
            due.unpersist()
        self._clock = clock
        finished = self.now()
        if not figures_stand:
            figures = {
                "query_id": self.query_id,
                "batch_id": batch_id,
                "finished_at": finished,
                "event_clock": clock,
                "touched_shoppers": shoppers,
                "lists": lists,
                "unknown_items": unknown,
                "seconds": (finished - began).total_seconds(),
                "model_version": model.version,
            }
            append_row(warehouse, STREAM_METRICS, figures)

    def _what_stands(self, warehouse: Warehouse, batch_id: int) -> tuple[bool, bool]:
        if self._started:
            return False, False
        self._started = True
        return False, False

    def _rows(
        self, due: DataFrame, batch_id: int, clock: datetime, model: ServedModel
    ) -> tuple[DataFrame, Observation]:
        counted = Observation("scored")
        scored = self.scorer(
            due.select("user_id", "history"),
            artifact=model.artifact,
            clock=clock,
            length=self.length,
            policy=model.policy,
        )
        rows = (
            scored.observe(counted, F.sum("unknown_items").alias("unknown"))
            .join(due.select("user_id", "newest_event_time", "newest_received_time"), on="user_id", how="inner")
            .select(
                "user_id",
                F.lit(self.query_id).alias("query_id"),
                F.lit(batch_id).cast("bigint").alias("batch_id"),
                F.lit(self.now()).alias("generated_at"),
                F.lit(clock).alias("event_clock"),
                F.lit(model.generation).cast("bigint").alias("generation"),
                F.lit(model.version).alias("model_version"),
                F.lit("stream").alias("source"),
                "items",
                F.col("newest_event_time").alias("caused_by_event_time"),
                F.col("newest_received_time").alias("caused_by_received_time"),
            )
        )
        return rows, counted
