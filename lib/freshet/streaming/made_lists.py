"""Lists of the shoppers that a micro-batch touched, on their way into `recommendation_updates`: two ways, one scoring.

Where the source bounds a micro-batch, the histories come to the driver and the lists are made there, all in one Spark
action. Where it does not, as in a replay of days, Spark's workers make them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame, Observation
from pyspark.sql import functions as F

from freshet.contracts import RECOMMENDATION_UPDATES
from freshet.storage.small_writes import append_arrow, append_collected, arrow_schema
from freshet.storage.tables import Warehouse


class Scorer(Protocol):
    """The scoring function that batch and stream share: in place of the column history come items and unknown_items."""

    def __call__(
        self, histories: DataFrame, *, artifact: Path, clock: datetime, length: int, policy: str
    ) -> DataFrame: ...


class ScorerAtHand(Protocol):
    """The same function for rows that are in the driver's memory."""

    def __call__(
        self, histories: pa.Table, *, artifact: Path, clock: datetime, length: int, policy: str
    ) -> pa.Table: ...


@dataclass(frozen=True)
class ServedModel:
    """The champion of a moment: its version and generation, its artifact, the policy its lists are made by."""

    version: str
    generation: int
    artifact: Path
    policy: str


@dataclass(frozen=True)
class Stamp:
    """What all lists of a micro-batch have in common beside the event clock. `stand`: they were written before."""

    query_id: str
    batch_id: int
    generated_at: datetime
    model: ServedModel
    epoch: int
    stand: bool

    def values(self, clock: datetime) -> dict[str, Any]:
        """Columns of `recommendation_updates` that are the same in every row."""
        return {
            "query_id": self.query_id,
            "batch_id": self.batch_id,
            "generated_at": self.generated_at,
            "event_clock": clock,
            "generation": self.model.generation,
            "model_version": self.model.version,
            "source": "stream",
            "epoch": self.epoch,
        }


@dataclass(frozen=True)
class Made:
    """What came of a micro-batch: shoppers it touched, lists written, entries of items the model does not know.

    `clock` is the event clock with it. `received`: when the median and the oldest of 20 events that caused a list were
    received; null without lists.
    """

    shoppers: int
    clock: datetime
    lists: int = 0
    unknown: int = 0
    received: tuple[datetime, datetime] | None = None


_RECEIVED = (0.5, 0.05)

_OWN = {"caused_by_event_time": "newest_event_time", "caused_by_received_time": "newest_received_time"}
"""Columns of `recommendation_updates` that have another name in `touched_histories`."""

_NOT_SCORED = ("live", "login", "joins")

Join = Callable[[DataFrame, int], object]

Clock = Callable[[datetime], datetime]
"""The event clock when the newest event of a micro-batch is added."""


def made_at_hand(
    touched: DataFrame, warehouse: Warehouse, stamp: Stamp, clock: Clock, *, scorer: ScorerAtHand, length: int,
    join: Join | None,
) -> Made | None:  # fmt: skip
    """Makes the lists of `touched_histories` in this process and appends them, unless they stand already.

    None when nobody was touched. All histories of shoppers whose list is due are in memory together. `join` gets the
    rows of sessions that have logged in, before the lists are made.
    """
    seen = _observation()
    due = touched.observe(*seen).where(_is_due())
    found = due.toArrow()
    told = seen[0].get
    if not told["shoppers"]:
        return None
    if told["sessions"] and join is not None:
        sessions = found.filter(pc.greater(pc.list_value_length(found.column("joins")), 0))
        join(warehouse.spark.createDataFrame(sessions, due.schema), stamp.batch_id)
    now = clock(told["newest"])
    histories = found.filter(found.column("live")).drop_columns(list(_NOT_SCORED))
    if not histories.num_rows:
        return Made(told["shoppers"], now)
    model = stamp.model
    scored = scorer(histories, artifact=model.artifact, clock=now, length=length, policy=model.policy)
    if not stamp.stand:
        append_arrow(warehouse, _rows(scored, stamp.values(now)), RECOMMENDATION_UPDATES)
    moments = scored.column("newest_received_time").cast(pa.timestamp("us"))
    received = pc.quantile(moments.cast(pa.int64()), q=list(_RECEIVED), interpolation="lower").cast(pa.timestamp("us"))
    median, late = received.to_pylist()
    return Made(told["shoppers"], now, scored.num_rows, pc.sum(scored.column("unknown_items")).as_py(), (median, late))


def _rows(scored: pa.Table, common: dict[str, Any]) -> pa.Table:
    types = arrow_schema(RECOMMENDATION_UPDATES)
    columns = [
        pa.repeat(pa.scalar(common[name], types.field(name).type), scored.num_rows) if name in common
        else scored.column(_OWN.get(name, name))
        for name in RECOMMENDATION_UPDATES.column_names
    ]  # fmt: skip
    return pa.table(columns, names=RECOMMENDATION_UPDATES.column_names)


def made_by_spark(
    touched: DataFrame, warehouse: Warehouse, stamp: Stamp, clock: Clock, *, scorer: Scorer, length: int,
    join: Join | None, most_collected: int,
) -> Made | None:  # fmt: skip
    """`made_at_hand` by Spark's workers; more than `most_collected` lists do not pass through the driver either."""
    moments = F.percentile_approx(F.when(F.col("live"), F.col("newest_received_time")), list(_RECEIVED))
    seen = _observation(moments.alias("received"))
    # Every action runs the stateful plan anew, hence the cache; of due shoppers only, so that the first slice
    # with everybody's past does not fill it.
    due = touched.observe(*seen).where(_is_due()).persist()
    try:
        due.count()
        told = seen[0].get
        if not told["shoppers"]:
            return None
        if told["sessions"] and join is not None:
            join(due.where(F.size("joins") > 0), stamp.batch_id)
        now = clock(told["newest"])
        if not told["lists"]:
            return Made(told["shoppers"], now)
        model, counted, histories = stamp.model, Observation(), due.where("live").drop(*_NOT_SCORED)
        scored = scorer(histories, artifact=model.artifact, clock=now, length=length, policy=model.policy)
        rows = _spark_rows(scored.observe(counted, F.sum("unknown_items").alias("unknown")), stamp.values(now))
        if stamp.stand:
            rows.count()  # for its entries of unknown items
        elif told["lists"] > most_collected:
            warehouse.append(rows, RECOMMENDATION_UPDATES)
        else:
            append_collected(warehouse, rows, RECOMMENDATION_UPDATES)
        return Made(told["shoppers"], now, told["lists"], counted.get["unknown"], tuple(told["received"]))
    finally:
        due.unpersist()


def _is_due() -> Column:
    """True for shoppers whose list or whose session's join is due."""
    return F.col("live") | (F.size("joins") > 0)


def _observation(*more: Column) -> tuple[Any, ...]:
    """What is counted of all touched shoppers in the pass that finds the due ones, as arguments of `observe`."""
    counts = [F.count_if("live").alias("lists"), F.count_if(F.size("joins") > 0).alias("sessions")]
    newest = F.max("newest_event_time").alias("newest")
    return Observation(), F.count(F.lit(1)).alias("shoppers"), newest, *counts, *more


def _spark_rows(scored: DataFrame, common: dict[str, Any]) -> DataFrame:
    columns = [
        F.lit(common[column.name]).cast(column.type).alias(column.name) if column.name in common
        else F.col(_OWN.get(column.name, column.name)).alias(column.name)
        for column in RECOMMENDATION_UPDATES.columns
    ]  # fmt: skip
    return scored.select(*columns)
