"""A shop whose stream makes lists and compacts them, with what every reader should see."""

import random
from datetime import datetime, timedelta
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable
from pyspark.sql import SparkSession
from pyspark.sql.pandas.types import to_arrow_schema

from freshet.contracts import RECOMMENDATION_UPDATES, RECOMMENDATIONS
from freshet.runs.home import Home
from freshet.service.compaction.compaction import Compaction
from freshet.service.compaction.list_table import write_lists_by_spark
from freshet.service.lists.latest import LATEST_RECOMMENDATIONS
from freshet.tables.lookups.snapshot import table_facts
from freshet.tables.maintenance.parameters import CompactionParameters
from freshet.tables.small_writes import append_arrow
from freshet.tables.warehouse import Warehouse
from tests.factories import Row, frame, moment
from tests.streaming.test_latest import stream_list

PARAMETERS = CompactionParameters(
    every_minutes=10, pack_from_files=1000, pack_mb=1, tidy_minutes=10, vacuum_hours=1, events_vacuum_hours=0,
    metrics_days=30, quarantine_days=90, model_versions=5, feature_dates=3,
)  # fmt: skip
MADE = moment("2020-02-01")
Lists = dict[str, tuple[str, int]]


class Clock:
    """A wall clock that goes when it is told to."""

    def __init__(self) -> None:
        self.time = datetime(2999, 1, 1)

    def __call__(self) -> datetime:
        return self.time

    def later(self, minutes: float) -> None:
        """Moves the clock on."""
        self.time += timedelta(minutes=minutes)


class Shop:
    """A shop with a stream of micro-batches and its compactions, and what each of them has made."""

    def __init__(self, spark: SparkSession, home: Home, seed: int = 1) -> None:
        self.spark, self.home, self.random = spark, home, random.Random(seed)
        self.warehouse, self.clock = Warehouse(spark, home.warehouse), Clock()
        self.made: list[Row] = []
        self.batches = 0
        self.compaction = self.started()

    def started(self, **changes: Any) -> Compaction:
        """A new process: what it knows is in the tables."""
        parameters = CompactionParameters(**{**vars(PARAMETERS), **changes})
        self.compaction = Compaction(self.warehouse, self.home.locks, parameters, self.clock)
        return self.compaction

    def batch(self, *rows: Row) -> None:
        """A micro-batch: the rows given, else those of some shoppers, of two queries and up to three generations."""
        self.batches += 1
        found = rows or [self._list(user) for user in self.random.sample(range(20), 6)]
        full = [
            {
                "generated_at": MADE, "model_version": "1.0", "caused_by_event_time": MADE,
                "caused_by_received_time": MADE, **row, "epoch": self.compaction.epoch,
                "event_clock": moment(row["event_clock"]),
            }
            for row in found
        ]  # fmt: skip
        schema = to_arrow_schema(RECOMMENDATION_UPDATES.schema, timezone="UTC")
        append_arrow(self.warehouse, pa.Table.from_pylist(full, schema=schema), RECOMMENDATION_UPDATES)
        self.made += [{**row, "epoch": self.compaction.epoch} for row in found]

    def _list(self, user: int) -> Row:
        return stream_list(
            f"u{user}", f"item {self.batches}", f"2020-02-{self.random.randint(1, 5):02}",
            self.random.choice(["q1", "q2"]), self.batches, self.random.randint(1, 3),
        )  # fmt: skip

    def written(self, rows: list[Row]) -> None:
        """The batch's lists."""
        write_lists_by_spark(self.warehouse, frame(self.spark, RECOMMENDATIONS, rows))
        self.made += rows

    def newest(self, recommendations: int | None = None) -> Lists:
        """What a reader sees who has opened `recommendations` at a version, and the updates now."""
        versions = {RECOMMENDATIONS: recommendations, RECOMMENDATION_UPDATES: None}
        with duckdb.connect() as connection:
            for table, version in versions.items():
                rows = DeltaTable(self.warehouse.path(table), version=version).to_pyarrow_table()
                connection.register(table.name, rows)
            lists = connection.sql(LATEST_RECOMMENDATIONS).to_arrow_table().to_pylist()
        assert len({row["user_id"] for row in lists}) == len(lists)
        return {row["user_id"]: (row["items"][0]["item_id"], row["generation"]) for row in lists}

    def expected(self) -> Lists:
        """The slow oracle: all lists ever made, oldest first, each in place of the one before."""
        ordered = sorted(
            self.made,
            key=lambda row: (
                row["generation"], row["event_clock"], row["source"], row.get("epoch", -1), row.get("query_id", ""),
                row.get("batch_id", -1),
            ),
        )  # fmt: skip
        return {row["user_id"]: (row["items"][0]["item_id"], row["generation"]) for row in ordered}

    def files(self) -> int:
        """Live files of the updates."""
        facts = table_facts(self.home.warehouse, RECOMMENDATION_UPDATES)
        assert facts is not None
        return facts["files"]

    def compacted(self) -> int:
        """One whole compaction, its merge in this thread; the files dropped."""
        assert self.compaction.merge(self.compaction.advance()).merged
        return self.compaction.drop()


def files_of(warehouse: Warehouse, users: list[str]) -> int:
    """The number of files of `recommendations`, of which each user may lie in one only, in order."""
    table = DeltaTable(warehouse.path(RECOMMENDATIONS))
    files = pa.table(table.get_add_actions(flatten=True)).to_pylist()
    for user in users:
        assert len([1 for file in files if file["min.user_id"] <= user <= file["max.user_id"]]) == 1
    for file in table.file_uris():
        found = pq.read_table(file).column("user_id").to_pylist()
        assert found == sorted(found)
    return len(files)
