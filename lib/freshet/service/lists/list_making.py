"""The lists of the shoppers that a micro-batch touched, as rows of `recommendation_updates`."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from freshet.contracts import RECOMMENDATION_UPDATES
from freshet.ranking.artifact import Artifact
from freshet.ranking.histories.packed_histories import TIME, PackedHistories, microseconds
from freshet.ranking.lists.list_ids import recommendation_ids
from freshet.ranking.lists.shopper_lists import recommended_in_process
from freshet.ranking.placements.parameters import PlacementParameters
from freshet.service.lists.history_store import SHOPPERS_AT_A_TIME, HistoryStore
from freshet.tables.format.arrow_rows import arrow_schema


class Scorer(Protocol):
    """The scoring function that batch and stream share. Returns the columns of `recommended_in_process`."""

    def __call__(
        self, shoppers: pa.Table, histories: PackedHistories, *, artifact: Path, clock: datetime, length: int,
        policy: str,
    ) -> pa.Table: ...  # fmt: skip


def in_process_scorer(rules: Callable[[], Path | None], placements: PlacementParameters) -> Scorer:
    """`recommended_in_process` on all cores. `rules` is asked before each call for the folder of the rules in force,
    None: there are none, and every item is available."""
    threads = os.cpu_count() or 1

    def scorer(
        shoppers: pa.Table, histories: PackedHistories, *, artifact: Path, clock: datetime, length: int, policy: str
    ) -> pa.Table:
        return recommended_in_process(
            shoppers, histories, artifact=artifact, clock=clock, length=length, policy=policy, threads=threads,
            rules=rules(), placements=placements,
        )  # fmt: skip

    return scorer


@dataclass(frozen=True)
class ServedModel:
    """The champion at some moment: version, generation, artifact, and the policy of its lists."""

    version: str
    generation: int
    artifact: Path
    policy: str


@dataclass(frozen=True)
class Stamp:
    """What all lists of a micro-batch have in common, apart from the event clock."""

    query_id: str
    batch_id: int
    generated_at: datetime
    model: ServedModel
    epoch: int

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


_RECEIPT_QUANTILES = (0.5, 0.05)

_SCORED_NAMES = {"caused_by_event_time": "newest_event_time", "caused_by_received_time": "newest_received_time"}
"""Columns of `recommendation_updates` by the name that they have in the scored lists."""


def lists_of(
    due: pa.Table, store: HistoryStore, stamp: Stamp, clock: datetime, *, scorer: Scorer, length: int
) -> pa.Table:
    """RECOMMENDATION_UPDATES columns and unknown_items: a list for each row (user_id, newest_received_time)."""
    starts = range(0, due.num_rows, SHOPPERS_AT_A_TIME)
    parts = [
        _scored(due.slice(start, SHOPPERS_AT_A_TIME), store, stamp.model, clock, scorer, length) for start in starts
    ]
    scored = pa.concat_tables(parts)
    ids = recommendation_ids(stamp.model.version, scored.column("list_key"))
    scored = scored.append_column("recommendation_id", ids)
    common = stamp.values(clock)
    types = arrow_schema(RECOMMENDATION_UPDATES)
    columns = [
        pa.repeat(pa.scalar(common[name], types.field(name).type), scored.num_rows) if name in common
        else scored.column(_SCORED_NAMES.get(name, name))
        for name in RECOMMENDATION_UPDATES.column_names
    ]  # fmt: skip
    made = pa.table(columns, names=RECOMMENDATION_UPDATES.column_names)
    return made.append_column("unknown_items", scored.column("unknown_items"))


def _scored(
    due: pa.Table, store: HistoryStore, model: ServedModel, clock: datetime, scorer: Scorer, length: int
) -> pa.Table:
    histories = store.histories(due.column("user_id").to_pylist())
    # Every shopper whose list is due has an entry, and the newest comes first.
    firsts = np.cumsum(histories.lengths) - histories.lengths
    newest = pa.array(histories.entries[firsts, TIME], pa.timestamp("us", tz="UTC"))
    shoppers = due.append_column("newest_event_time", newest)
    return scorer(shoppers, histories, artifact=model.artifact, clock=clock, length=length, policy=model.policy)


def warm_up(scorer: Scorer, model: ServedModel, *, clock: datetime, length: int) -> None:
    """Makes a list from the history of an imaginary shopper, one item with the strongest event. It loads the model and
    compiles kernels, which took 19 s on a new machine, before the first events arrive."""
    artifact = Artifact.load(model.artifact)
    weights = artifact.recipe.event_weights
    strongest = max(weights, key=lambda name: weights[name])
    moment = np.datetime64(clock, "us").astype(np.int64)
    entry = np.array([[moment, 0, 0, 0]], np.int64)
    history = PackedHistories(np.ones(1, np.int64), entry, artifact.items.slice(0, 1), pa.array([strongest]))
    shopper = pa.table({"user_id": pa.array([""])})
    scorer(shopper, history, artifact=model.artifact, clock=clock, length=length, policy=model.policy)


def received(due: pa.Table) -> Sequence[datetime]:
    """Receipt times of the events that caused the lists: the median, and that of the oldest in twenty. `due` has
    rows."""
    found = pc.quantile(
        microseconds(due.column("newest_received_time")), q=list(_RECEIPT_QUANTILES), interpolation="lower"
    ).cast(pa.timestamp("us"))
    times: list[datetime] = found.to_pylist()
    return times
