"""What happens in a micro-batch: lists of the shoppers it touched, appended in one commit, and a row of figures."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from pyspark.sql import DataFrame

from freshet.contracts import RECOMMENDATION_UPDATES, STREAM_METRICS
from freshet.storage.small_writes import append_row
from freshet.storage.stamps import figures_of_query, newest_batch
from freshet.storage.tables import Warehouse
from freshet.streaming.made_lists import (
    Join,
    Made,
    Scorer,
    ScorerAtHand,
    ServedModel,
    Stamp,
    made_at_hand,
    made_by_spark,
)


@dataclass(frozen=True)
class ListMaking:
    """What the lists of one query are made with and for.

    `model` is asked once per micro-batch, so that one model makes all of it, and so is `epoch`, the number of the
    compaction that will take the lists in. More than `most_collected` lists are written by Spark instead of through
    the driver. `now` gives the wall time, UTC without a zone. `is_live`: events come as they happen, so that the time
    since their receipt is a latency. `join` gets the rows of sessions that have logged in, before the lists are made;
    `state_size` tells how many shoppers the state held before. `scorer_at_hand`, the same function for rows in memory,
    makes the lists where the source bounds a micro-batch to so few events that their histories fit into the driver.
    """

    scorer: Scorer
    model: Callable[[], ServedModel]
    length: int
    most_collected: int
    now: Callable[[], datetime]
    epoch: Callable[[], int] = lambda: 0
    is_live: bool = False
    join: Join | None = None
    state_size: Callable[[], int | None] = lambda: None
    scorer_at_hand: ScorerAtHand | None = None


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
        stamp = Stamp(self.query_id, batch_id, began, self.making.model(), self.making.epoch(), lists_stand)
        made = self._made(touched, warehouse, stamp)
        if made is None or figures_stand:
            return
        finished = self.making.now()
        figures = {
            "query_id": self.query_id,
            "batch_id": batch_id,
            "job": "lists",
            "finished_at": finished,
            "event_clock": made.clock,
            **self._latency(finished, made),
            "touched_shoppers": made.shoppers,
            "lists": made.lists,
            "unknown_items": made.unknown,
            "state_shoppers": self.making.state_size(),
            "seconds": (finished - began).total_seconds(),
            "model_version": stamp.model.version,
        }
        append_row(warehouse, figures, STREAM_METRICS)

    def _made(self, touched: DataFrame, warehouse: Warehouse, stamp: Stamp) -> Made | None:
        making = self.making
        if making.scorer_at_hand is not None:
            return made_at_hand(
                touched, warehouse, stamp, self._advanced, scorer=making.scorer_at_hand, length=making.length,
                join=making.join,
            )  # fmt: skip
        return made_by_spark(
            touched, warehouse, stamp, self._advanced, scorer=making.scorer, length=making.length,
            join=making.join, most_collected=making.most_collected,
        )  # fmt: skip

    def _latency(self, finished: datetime, made: Made) -> dict[str, float]:
        """Percentiles of the time since events were received; nothing where the past is replayed."""
        if not self.making.is_live or made.received is None:
            return {}
        seconds = [(finished - moment).total_seconds() for moment in made.received]
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
