"""What happens in a micro-batch: lists of the shoppers it touched, appended in one commit, and a row of figures."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from pyspark.sql import DataFrame, Observation
from pyspark.sql import functions as F

from freshet.contracts import RECOMMENDATION_UPDATES, STREAM_METRICS
from freshet.storage.small_writes import append_collected, append_row
from freshet.storage.stamps import figures_of_query, newest_batch
from freshet.storage.tables import Warehouse


@dataclass(frozen=True)
class ServedModel:
    """The champion of a moment: its version and generation, its artifact, the policy its lists are made by."""

    version: str
    generation: int
    artifact: Path
    policy: str


class Scorer(Protocol):
    """The scoring function that batch and stream share: in place of the column history come items and unknown_items."""

    def __call__(
        self, histories: DataFrame, *, artifact: Path, clock: datetime, length: int, policy: str
    ) -> DataFrame: ...


@dataclass(frozen=True)
class ListMaking:
    """What the lists of one query are made with and for.

    `model` is asked once per micro-batch, so that one model makes all of it, and so is `epoch`, the number of the
    compaction that will take the lists in. More than `most_collected` lists are written by Spark instead of through
    the driver. `now` gives the wall time, UTC without a zone. `is_live`: events come as they happen, so that the time
    since their receipt is a latency. `join` gets the rows of sessions that have logged in, before the lists are made;
    `state_size` tells how many shoppers the state held before.
    """

    scorer: Scorer
    model: Callable[[], ServedModel]
    length: int
    most_collected: int
    now: Callable[[], datetime]
    epoch: Callable[[], int] = lambda: 0
    is_live: bool = False
    join: Callable[[DataFrame, int], object] | None = None
    state_size: Callable[[], int | None] = lambda: None


@dataclass
class ListUpdates:
    """The function that a stream of `touched_histories` calls for each micro-batch.

    Both tables must exist. A micro-batch that is repeated after a crash adds nothing that stands already and, `model`
    being the same, makes the same rows but for `generated_at`. The error that ended a micro-batch stays in `failure`,
    for the query passes on its text only.
    """

    folder: Path
    query_id: str
    making: ListMaking
    failure: Exception | None = field(default=None, init=False)
    _clock: datetime | None = field(default=None, init=False)
    _first: bool = field(default=True, init=False)

    def __call__(self, touched: DataFrame, batch_id: int) -> None:
        """Appends the lists and the figures of a micro-batch, each unless its table holds them."""
        try:
            self._run(touched, batch_id)
        except Exception as error:
            self.failure = error
            raise

    def _run(self, touched: DataFrame, batch_id: int) -> None:
        began = self.making.now()
        # The session of a micro-batch is a clone of the query's; settings of any other do not reach it.
        warehouse = Warehouse(touched.sparkSession, self.folder)
        lists_stand, figures_stand = self._standing(warehouse, batch_id)
        model = self.making.model()
        seen = Observation()
        # Every action runs the stateful plan anew, hence the cache; of due shoppers only, so that the first slice
        # with everybody's past does not fill it.
        due = (
            touched.observe(
                seen,
                F.count(F.lit(1)).alias("shoppers"),
                F.max("newest_event_time").alias("newest"),
                F.percentile_approx(F.when(F.col("live"), F.col("newest_received_time")), [0.5, 0.05]).alias(
                    "received"
                ),
                F.count_if("live").alias("lists"),
                F.count_if(F.size("joins") > 0).alias("sessions"),
            )
            .where(F.col("live") | (F.size("joins") > 0))
            .persist()
        )
        try:
            due.count()
            if not seen.get["shoppers"]:
                return
            lists = seen.get["lists"]
            if seen.get["sessions"] and self.making.join is not None:
                self.making.join(due.where(F.size("joins") > 0), batch_id)
            clock = self._advanced(seen.get["newest"])
            unknown = 0
            if lists:
                rows, counted = self._rows(due.where("live"), batch_id, clock, model)
                if lists_stand:
                    rows.count()  # for its entries of unknown items
                elif lists > self.making.most_collected:
                    warehouse.append(rows, RECOMMENDATION_UPDATES)
                else:
                    append_collected(warehouse, rows, RECOMMENDATION_UPDATES)
                unknown = counted.get["unknown"]
        finally:
            due.unpersist()
        if figures_stand:
            return
        finished = self.making.now()
        figures = {
            "query_id": self.query_id,
            "batch_id": batch_id,
            "job": "lists",
            "finished_at": finished,
            "event_clock": clock,
            **self._latency(finished, seen),
            "touched_shoppers": seen.get["shoppers"],
            "lists": lists,
            "unknown_items": unknown,
            "state_shoppers": self.making.state_size(),
            "seconds": (finished - began).total_seconds(),
            "model_version": model.version,
        }
        append_row(warehouse, figures, STREAM_METRICS)

    def _latency(self, finished: datetime, seen: Observation) -> dict[str, float]:
        """Percentiles of the time since events were received; nothing where the past is replayed."""
        received = seen.get["received"]
        if not self.making.is_live or received is None:
            return {}
        seconds = [(finished - moment).total_seconds() for moment in received]
        return {"latency_p50_s": seconds[0], "latency_p95_s": seconds[1]}

    def _standing(self, warehouse: Warehouse, batch_id: int) -> tuple[bool, bool]:
        """Whether the lists and the figures of this micro-batch were written before; restores the event clock."""
        if not self._first:
            return False, False
        self._first = False
        figures = figures_of_query(warehouse, STREAM_METRICS, self.query_id, ("batch_id", "event_clock"))
        self._clock = max((row["event_clock"] for row in figures if row["batch_id"] < batch_id), default=None)
        return (
            newest_batch(warehouse, RECOMMENDATION_UPDATES, self.query_id) >= batch_id,
            any(row["batch_id"] >= batch_id for row in figures),
        )

    def _advanced(self, newest: datetime) -> datetime:
        """The event clock with this micro-batch: never behind that of an earlier one."""
        self._clock = newest if self._clock is None else max(newest, self._clock)
        return self._clock

    def _rows(
        self, due: DataFrame, batch_id: int, clock: datetime, model: ServedModel
    ) -> tuple[DataFrame, Observation]:
        """Rows of `recommendation_updates`, and what will have counted entries of unknown items when they are made."""
        counted = Observation()
        scored = self.making.scorer(
            due.drop("live", "login", "joins"),
            artifact=model.artifact,
            clock=clock,
            length=self.making.length,
            policy=model.policy,
        ).observe(counted, F.sum("unknown_items").alias("unknown"))
        rows = scored.select(
            "user_id",
            F.lit(self.query_id).alias("query_id"),
            F.lit(batch_id).cast("bigint").alias("batch_id"),
            F.lit(self.making.now()).alias("generated_at"),
            F.lit(clock).alias("event_clock"),
            F.lit(model.generation).cast("bigint").alias("generation"),
            F.lit(model.version).alias("model_version"),
            F.lit("stream").alias("source"),
            "items",
            F.col("newest_event_time").alias("caused_by_event_time"),
            F.col("newest_received_time").alias("caused_by_received_time"),
            F.lit(self.making.epoch()).cast("bigint").alias("epoch"),
        )
        return rows, counted
