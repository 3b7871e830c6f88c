"""A small shop for the tests of the live part, and a scoring function whose lists show what it was given."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import SparkSession
from pyspark.sql.pandas.types import to_arrow_type
from pyspark.sql.types import ArrayType

from freshet.contracts import EVENTS, RECOMMENDATION_UPDATES, STREAM_METRICS
from freshet.contracts.models import LIST_ITEM, PAGE
from freshet.ranking.histories.packed_histories import NAME_BITS, PackedHistories
from freshet.runs.home import Home
from freshet.runs.service_parameters import StreamParameters
from freshet.service.lists.history_store import HistoryStore
from freshet.service.lists.list_making import ServedModel
from freshet.service.lists.live_replay import LivePlan, LiveReport, replay_live
from freshet.service.lists.micro_batch import ListMaking, ListUpdates
from freshet.tables.transactions import figures_of_query
from freshet.tables.warehouse import Warehouse
from tests.factories import Row, event, events_frame, moment
from tests.stream_rows import HISTORY_EVENTS

CUT, AS_OF = moment("2020-02-01"), moment("2020-02-04 18:00")
WALL = moment("2020-03-01")
LENGTH = 4
MODEL = ServedModel(version="1.0", generation=1, artifact=Path("unused"), policy="next_baskets")


def history_lists(
    shoppers: pa.Table, histories: PackedHistories, *, artifact: Path, clock: datetime, length: int, policy: str
) -> pa.Table:
    """The newest `length` items of a history as a list; the score is the age in days at the clock.

    Items whose id begins with "new" are unknown.
    """
    names, ends = histories.items.to_pylist(), np.cumsum(histories.lengths)
    pasts = [
        [(names[what >> NAME_BITS], np.datetime64(time, "us").item()) for time, _, _, what in entries.tolist()]
        for entries in np.split(histories.entries, ends[:-1])
    ]
    lists = [
        [{"position": place, "item_id": item, "score": (clock - when) / timedelta(days=1), "reason": "taste"}
         for place, (item, when) in enumerate(past[:length], start=1)]
        for past in pasts
    ]  # fmt: skip
    items = pa.array(lists, to_arrow_type(ArrayType(LIST_ITEM)))
    unknown = pa.array([sum(item.startswith("new") for item, _ in past) for past in pasts])
    made = {
        "items": items,
        "propensities": pa.array([[1.0] * len(one) for one in lists], pa.list_(pa.float64())),
        "placements": pa.nulls(len(lists), to_arrow_type(PAGE)),
        "list_key": pa.array([f"{clock:%H%M%S} {user}" for user in shoppers.column("user_id").to_pylist()]),
        "unknown_items": unknown,
    }
    return pa.table({**dict(zip(shoppers.column_names, shoppers.columns, strict=True)), **made})


def shop_rows() -> list[Row]:
    """Two shoppers with a past, one who comes on the second live day, and an event that arrives days late."""
    return [
        event(user="ann", item="a1", at="2020-01-10 09:00", event_id="e01"),
        event(user="ann", item="a2", at="2020-01-20 09:00", event_id="e02"),
        event(user="bob", item="b1", at="2020-01-30 09:00", event_id="e03"),
        # Nobody to recommend to, and nothing to recommend: neither may reach a history.
        event(user=None, item="a1", at="2020-01-30 10:00", event_id="e04"),
        event(user="ann", item="POST", at="2020-02-01 10:00", event_id="e05", flags=["non_product"]),
        event(user="ann", item="a3", at="2020-02-01 10:00", event_id="e06"),
        event(user="cat", item="new1", at="2020-02-02 11:00", event_id="e07"),
        event(user="cat", item="c2", at="2020-02-02 12:00", event_id="e08"),
        # Happened before ann's a3 and even before the cut, known only on the third live day.
        event(user="ann", item="late", at="2020-01-31 08:00", received="2020-02-03 08:00", event_id="e09"),
        event(user="cat", item="c3", at="2020-02-04 17:00", event_id="e10"),
        # Arrives at the end of the window, which is exclusive.
        event(user="bob", item="b2", at=AS_OF, event_id="e11"),
    ]


def parameters(**changes: Any) -> StreamParameters:
    """Slices of two days; `changes` replace single values."""
    values: dict[str, Any] = {
        "slice_hours": 48.0,
        "fewest_slices": 1,
        "max_events_per_slice": 1000,
        "local_checkpoint": True,
    }
    return StreamParameters(**{**values, **changes})


def plan(fingerprint: str = "f1", **changes: Any) -> LivePlan:
    """The plan of a replay of the shop; `changes` are of the stream's parameters."""
    return LivePlan(
        fingerprint=fingerprint,
        start=CUT,
        end=AS_OF,
        length=LENGTH,
        max_events=3,
        event_names=HISTORY_EVENTS,
        stream=parameters(**changes),
    )


def replay(
    home: Home, warehouse: Warehouse, of: LivePlan, scorer: Any = history_lists, model: ServedModel = MODEL
) -> LiveReport:
    """`replay_live` with the wall time standing still."""
    return replay_live(home, warehouse, of, model=model, scorer=scorer, now=lambda: WALL)


def with_events(spark: SparkSession, warehouse: Warehouse) -> Warehouse:
    """`warehouse` with the shop's events."""
    warehouse.replace(events_frame(spark, shop_rows()), EVENTS)
    return warehouse


_OPEN: dict[Path, HistoryStore] = {}


def list_updates(
    folder: Path,
    query: str,
    store: HistoryStore | None = None,
    scorer: Any = history_lists,
    model: Callable[[], ServedModel] = lambda: MODEL,
) -> ListUpdates:
    """The micro-batch function of a query. Without a store it has its own, of three entries a shopper."""
    if store is None:
        path = folder / f"{query}.db"
        if path in _OPEN:  # by an earlier process, which has ended
            _OPEN.pop(path).close()
        store = _OPEN[path] = HistoryStore(path, most=3)
    return ListUpdates(folder, query, store, ListMaking(scorer, model, LENGTH, lambda: WALL))


def lists_of(warehouse: Warehouse, query: str) -> list[Row]:
    """What `recommendation_updates` holds of a query but generated_at, in order of the key; items as (id, age)."""
    rows = figures_of_query(warehouse, RECOMMENDATION_UPDATES, query, RECOMMENDATION_UPDATES.column_names)
    for row in rows:
        row["items"] = [(item["item_id"], round(item["score"], 6)) for item in row["items"]]
        del row["generated_at"]
    return sorted(rows, key=lambda row: (row["batch_id"], row["user_id"]))


def figures_of(warehouse: Warehouse, query: str) -> list[Row]:
    """What `stream_metrics` holds of a query but wall times, in order of the key."""
    columns = [name for name in STREAM_METRICS.column_names if name not in ("finished_at", "seconds")]
    return figures_of_query(warehouse, STREAM_METRICS, query, columns)


def tables_of(warehouse: Warehouse, query: str) -> tuple[list[Row], list[Row]]:
    """All that a query has written, but for wall times."""
    return lists_of(warehouse, query), figures_of(warehouse, query)


def newest_items(lists: list[Row]) -> dict[str, list[str]]:
    """Item ids of each shopper's newest list."""
    return {row["user_id"]: [item for item, _ in row["items"]] for row in lists}
