"""Compaction: at every phase, after every kill and for every reader the newest list of each shopper."""

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession
from pyspark.sql.pandas.types import to_arrow_schema

from freshet.contracts import RECOMMENDATION_UPDATES, RECOMMENDATIONS
from freshet.errors import ContractError
from freshet.storage.home import Home
from freshet.storage.lease import lease
from freshet.storage.small_writes import append_arrow
from freshet.storage.snapshot import table_facts
from freshet.storage.tables import Warehouse
from freshet.streaming.compaction import Compaction
from freshet.streaming.compaction_parameters import CompactionParameters
from freshet.streaming.latest import LATEST_RECOMMENDATIONS
from freshet.streaming.list_table import with_newer_stream_lists, write_lists
from freshet.streaming.upkeep import Upkeep
from tests.factories import Row, frame, moment
from tests.streaming.test_latest import CUT, batch_list, stream_list

pytestmark = pytest.mark.streaming

PARAMETERS = CompactionParameters(
    every_minutes=10, pack_from_files=1000, pack_mb=1, tidy_minutes=10, vacuum_hours=1, events_vacuum_hours=0,
    metrics_days=30, quarantine_days=90, model_versions=5,
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
        """The batch's lists, written by the batch."""
        write_lists(self.warehouse, frame(self.spark, RECOMMENDATIONS, rows))
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


@pytest.fixture
def shop(spark: SparkSession, home: Home) -> Iterator[Shop]:
    made = Shop(spark, home)
    made.written([batch_list(f"u{n}", "batch", 1 + n % 2) for n in range(0, 20, 2)])
    yield made
    made.compaction.close()


def test_readers_see_the_newest_lists_at_every_phase(shop: Shop) -> None:
    for _ in range(3):
        shop.batch()
        shop.batch()
        assert shop.newest() == shop.expected()
        opened = shop.warehouse.version(RECOMMENDATIONS)
        ended = shop.compaction.advance()
        shop.batch()  # while the merge runs
        assert shop.newest() == shop.expected()
        shop.compaction.merge(ended)
        assert shop.newest() == shop.expected()
        shop.compaction.drop()
        shop.compaction._tidy(1)
        assert shop.newest() == shop.expected()
        # One who opened the lists before the merge and the updates after the drop.
        assert shop.newest(opened) == shop.expected()
    assert {row["epoch"] for row in shop.warehouse.read(RECOMMENDATION_UPDATES).collect()} == {2, 3}


def after_nothing(shop: Shop) -> None:
    """Killed before the compaction began."""


def after_advance(shop: Shop) -> None:
    shop.compaction.advance()


def after_advance_and_a_batch(shop: Shop) -> None:
    shop.compaction.advance()
    shop.batch()


def after_merge(shop: Shop) -> None:
    shop.compaction.merge(shop.compaction.advance())


def after_merge_and_a_batch(shop: Shop) -> None:
    ended = shop.compaction.advance()
    shop.batch()
    shop.compaction.merge(ended)


def after_drop(shop: Shop) -> None:
    after_merge_and_a_batch(shop)
    shop.compaction.drop()


KILLS = (after_nothing, after_advance, after_advance_and_a_batch, after_merge, after_merge_and_a_batch, after_drop)


def test_a_kill_between_phases_loses_and_doubles_nothing(shop: Shop) -> None:
    shop.batch()
    shop.compacted()
    for killed in KILLS:
        shop.batch()
        killed(shop)
        shop.started()
        opened = shop.warehouse.version(RECOMMENDATIONS)
        assert shop.newest() == shop.expected(), killed.__name__
        shop.batch()
        # Nothing that only the first merge after a start has taken in may be gone already.
        assert shop.compacted() == 0, killed.__name__
        assert shop.newest() == shop.newest(opened) == shop.expected(), killed.__name__
    shop.batch()
    assert shop.compacted() > 0
    assert shop.newest() == shop.expected()


def test_a_restart_goes_on_with_the_highest_epoch_of_the_table(shop: Shop) -> None:
    assert shop.compaction.epoch == 0
    for _ in range(3):
        shop.batch()
        shop.compaction.advance()
    shop.batch()
    assert shop.compaction.epoch == 3
    assert shop.started().epoch == 3


def test_a_list_of_an_older_generation_never_wins(shop: Shop) -> None:
    shop.batch(stream_list("swapped", "new model", CUT, batch=1, generation=5))
    shop.compacted()
    shop.batch(stream_list("swapped", "old model", "2020-02-09", batch=2, generation=4))
    shop.compacted()
    shop.compacted()
    assert shop.newest()["swapped"] == ("new model", 5)


def test_files_stay_few_over_many_batches(shop: Shop) -> None:
    shop.started(pack_from_files=4, vacuum_hours=0)
    most = 0
    for _ in range(20):
        shop.batch()
        shop.clock.later(2)
        shop.compaction.between_batches()
        shop.compaction.close()
        most = max(most, shop.files())
    assert most <= 8  # three epochs of five batches would be 15
    shop.clock.later(10)
    shop.compaction.between_batches()
    shop.compaction.close()
    shop.clock.later(10)
    shop.compaction.between_batches()
    assert shop.files() == 0  # a quiet stream leaves nothing for readers to open
    assert shop.newest() == shop.expected()
    folders = [folder.name for folder in Path(shop.warehouse.path(RECOMMENDATION_UPDATES)).glob("epoch=*")]
    assert folders == []
    live = len(DeltaTable(shop.warehouse.path(RECOMMENDATIONS)).file_uris())
    assert len(list(Path(shop.warehouse.path(RECOMMENDATIONS)).glob("*.parquet"))) == live


def test_a_compaction_runs_beside_the_batches_and_reports(shop: Shop) -> None:
    shop.batch()
    assert not shop.compaction.due(shop.clock())
    shop.clock.later(10)
    assert shop.compaction.due(shop.clock())
    assert shop.compaction.between_batches() is None
    assert not shop.compaction.due(shop.clock())
    assert shop.compaction.epoch == 1
    shop.batch()
    report = shop.compaction.close()
    assert report is not None
    first = {row["user_id"] for row in shop.made if row.get("epoch", 0) == 0}
    assert (report.epoch, report.merged, report.files_dropped) == (0, True, 0)
    assert report.lists == len(first)
    assert shop.newest() == shop.expected()


def test_lists_wait_no_longer_for_a_restart(shop: Shop) -> None:
    shop.clock.time = datetime(2000, 1, 1)  # the file is of today
    shop.batch()
    assert not shop.started().due(shop.clock())
    shop.clock.time = datetime(2999, 1, 1)
    assert shop.started().due(shop.clock())


def test_lists_in_use_are_left_for_the_next_round(shop: Shop) -> None:
    shop.batch()
    before = shop.warehouse.version(RECOMMENDATIONS)
    with lease(shop.home.locks, "table", "recommendations"):
        shop.compaction.begin()
        report = shop.compaction.close()
    assert report is not None
    assert not report.merged
    assert shop.warehouse.version(RECOMMENDATIONS) == before
    shop.batch()
    shop.compaction.begin()
    report = shop.compaction.close()
    assert report is not None
    assert (report.merged, report.epoch, report.files_dropped) == (True, 1, 0)
    assert shop.newest() == shop.expected()


def test_an_error_of_the_merge_ends_the_stream(shop: Shop) -> None:
    shop.batch()
    DeltaTable(shop.warehouse.path(RECOMMENDATIONS)).alter.add_columns(
        [*DeltaTable(shop.warehouse.path(RECOMMENDATION_UPDATES)).schema().fields][1:2]
    )
    shop.compaction.begin()
    with pytest.raises(ContractError, match="query_id"):
        shop.compaction.close()
    assert shop.compaction.drop() == 0


def test_one_shopper_lies_in_one_file(spark: SparkSession, warehouse: Warehouse) -> None:
    users = [f"{n * 7919 % 100:02}" for n in range(100)]
    rows = frame(spark, RECOMMENDATIONS, [batch_list(user, "item") for user in users]).repartition(4)
    assert write_lists(warehouse, rows, per_file=20) == 100
    files = pa.table(DeltaTable(warehouse.path(RECOMMENDATIONS)).get_add_actions(flatten=True)).to_pylist()
    assert len(files) == 5
    for user in users:
        assert len([1 for file in files if file["min.user_id"] <= user <= file["max.user_id"]]) == 1
    for file in DeltaTable(warehouse.path(RECOMMENDATIONS)).file_uris():
        found = spark.read.parquet(file).select("user_id").collect()
        assert found == sorted(found)


def test_a_new_batch_keeps_what_only_a_compaction_holds(shop: Shop) -> None:
    fresh = stream_list("fresh", "stream", "2020-02-08", batch=1, generation=3)
    newcomer = stream_list("newcomer", "stream", "2020-02-08", batch=1, generation=3)
    before = stream_list("before", "stream", "2020-02-02", batch=1, generation=3)
    gone = stream_list("gone", "stream", "2020-02-02", batch=1, generation=3)
    older = stream_list("older", "stream", "2020-02-09", batch=1, generation=2)
    shop.batch(fresh, newcomer, before, gone, older)
    shop.compacted()
    users = ("fresh", "before", "older")
    batch = frame(shop.spark, RECOMMENDATIONS, [batch_list(user, "batch", 3, "2020-02-05") for user in users])
    lists = with_newer_stream_lists(shop.warehouse, batch, generation=3, clock=moment("2020-02-05"))
    write_lists(shop.warehouse, lists)
    found = {row["user_id"]: row["items"][0]["item_id"] for row in shop.warehouse.read(RECOMMENDATIONS).collect()}
    assert found == {"fresh": "stream", "newcomer": "stream", "before": "batch", "older": "batch"}


def test_tables_of_a_stream_are_tidied_in_turns(shop: Shop) -> None:
    shop.batch()
    shop.batch()
    shop.compacted()
    parameters = CompactionParameters(**{**vars(PARAMETERS), "pack_from_files": 2, "vacuum_hours": 0})
    upkeep = Upkeep(shop.warehouse, [RECOMMENDATION_UPDATES, RECOMMENDATIONS], parameters, shop.clock)
    first = upkeep.between_batches()
    assert first is not None
    assert (first.table, first.files_packed, first.files_removed) == (RECOMMENDATION_UPDATES.name, 2, 2)
    assert upkeep.between_batches() is None
    shop.clock.later(5)
    second = upkeep.between_batches()
    assert second is not None
    assert second.table == RECOMMENDATIONS.name
    assert shop.newest() == shop.expected()


@pytest.mark.parametrize("name", ["every_minutes", "pack_from_files", "metrics_days"])
def test_parameters_out_of_range_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        CompactionParameters(**{**vars(PARAMETERS), name: 0})
