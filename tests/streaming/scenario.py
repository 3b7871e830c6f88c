"""A small shop for the tests of the live part, and a scoring function whose lists show what it was given."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from freshet.contracts import EVENTS, RECOMMENDATION_UPDATES, STREAM_METRICS
from freshet.contracts.models import LIST_ITEM
from freshet.steps.live import LivePlan, LiveReport, replay_live
from freshet.storage.home import Home
from freshet.storage.tables import Warehouse
from freshet.streaming.micro_batch import ListMaking, ListUpdates, ServedModel
from freshet.streaming.parameters import StreamParameters
from tests.factories import Row, event, events_frame, moment

CUT, AS_OF = moment("2020-02-01"), moment("2020-02-04 18:00")
WALL = moment("2020-03-01")
LENGTH = 4
MODEL = ServedModel(version="1.0", generation=1, artifact=Path("unused"), policy="next_baskets")


def history_lists(
    histories: DataFrame, *, artifact: Path, clock: datetime, length: int, policy: str
) -> DataFrame:
    """The newest `length` items of a history as a list; the score is the age in days at the clock.

    Items whose id begins with "new" are unknown. Without Python workers, so that tests are quick.
    """
    seconds = F.lit(clock).cast("double")
    items = F.transform(
        F.slice("history", 1, length),
        lambda entry, place: F.struct(
            (place + 1).cast("int").alias("position"),
            entry["item_id"].alias("item_id"),
            ((seconds - entry["event_time"].cast("double")) / 86_400.0).alias("score"),
            F.lit("taste").alias("reason"),
        ),
    )
    unknown = F.size(F.filter("history", lambda entry: entry["item_id"].startswith("new")))
    assert LIST_ITEM.fieldNames() == ["position", "item_id", "score", "reason"]
    return histories.select("user_id", items.alias("items"), unknown.cast("bigint").alias("unknown_items"))


def shop_rows() -> list[Row]:
    """Two shoppers with a past, one who comes on the second live day, and an event that arrives two days late."""
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
    """Slices of a day on one partition; `changes` replace single values."""
    values: dict[str, Any] = {
        "slice_hours": 24.0,
        "fewest_slices": 1,
        "max_events_per_slice": 1000,
        "shuffle_partitions": 1,
        "most_collected_lists": 1000,
        "local_checkpoint": True,
    }
    return StreamParameters(**{**values, **changes})


def plan(fingerprint: str = "f1", **changes: Any) -> LivePlan:
    """The plan of a replay of the shop; `changes` are of the stream's parameters."""
    return LivePlan(
        fingerprint=fingerprint, start=CUT, end=AS_OF, length=LENGTH, max_events=3, stream=parameters(**changes)
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


def list_updates(
    folder: Path,
    scorer: Any = history_lists,
    model: Callable[[], ServedModel] = lambda: MODEL,
    live_from: datetime = CUT,
    most_collected: int = 1000,
) -> ListUpdates:
    """The micro-batch function of query q1."""
    making = ListMaking(scorer, model, LENGTH, live_from, most_collected, lambda: WALL)
    return ListUpdates(folder, "q1", making)


def lists_of(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    """All of `recommendation_updates` but generated_at, in order of the key, items shortened to their ids and ages."""
    rows = warehouse.read(RECOMMENDATION_UPDATES).drop("generated_at").orderBy("batch_id", "user_id").collect()
    return [
        (*[row[name] for name in row.asDict() if name != "items"], [(i["item_id"], round(i["score"], 6)) for i in row["items"]])
        for row in rows
    ]  # fmt: skip


def figures_of(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    """All of `stream_metrics` but wall times, in order of the key."""
    rows = warehouse.read(STREAM_METRICS).drop("finished_at", "seconds").orderBy("batch_id").collect()
    return [tuple(row) for row in rows]


def newest_lists(warehouse: Warehouse) -> dict[str, list[str]]:
    """Item ids of each shopper's newest list."""
    rows = warehouse.read(RECOMMENDATION_UPDATES).orderBy("batch_id").select("user_id", "items.item_id").collect()
    return {row["user_id"]: row["item_id"] for row in rows}
