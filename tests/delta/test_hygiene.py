"""Upkeep of tables with many small commits: nothing a reader sees changes, files and log stay few."""

import os
import time
from pathlib import Path
from urllib.parse import unquote

import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from freshet.contracts import ALL_TABLES, EVENTS, QUARANTINE, RECOMMENDATION_UPDATES, STREAM_METRICS
from freshet.tables.lookups.snapshot import table_facts
from freshet.tables.maintenance import operations
from freshet.tables.small_writes import append_row
from freshet.tables.warehouse import Warehouse
from tests.delta.test_small_writes import figures
from tests.factories import Row, days, frame, moment

pytestmark = pytest.mark.delta

NEWEST = moment("2020-06-30 12:00")


def data_files(warehouse: Warehouse, name: str) -> list[Path]:
    """All files under a table but its log, hidden ones too."""
    root = warehouse.folder / name
    return [file for file in root.rglob("*") if file.is_file() and "_delta_log" not in file.parts]


def metrics_rows(warehouse: Warehouse) -> list[Row]:
    rows = DeltaTable(warehouse.path(STREAM_METRICS)).to_pyarrow_table().to_pylist()
    return sorted(rows, key=lambda row: (row["query_id"], row["batch_id"]))


def with_metrics(warehouse: Warehouse, count: int) -> Warehouse:
    warehouse.create(STREAM_METRICS)
    for n in range(count):
        append_row(warehouse, figures(n), STREAM_METRICS)
    return warehouse


def updates(spark: SparkSession, warehouse: Warehouse, epochs: list[int]) -> None:
    rows = [{"user_id": f"u{n}", "epoch": epoch} for n, epoch in enumerate(epochs)]
    warehouse.append(frame(spark, RECOMMENDATION_UPDATES, rows), RECOMMENDATION_UPDATES)


def test_streamed_tables_have_short_logs_and_others_the_default(spark: SparkSession, warehouse: Warehouse) -> None:
    streamed = {table.name for table in ALL_TABLES if table.streamed}
    assert streamed == {"events", "items_history", "quarantine", "recommendation_updates", "stream_metrics"}
    warehouse.append(frame(spark, EVENTS, [{}]), EVENTS)
    warehouse.create(QUARANTINE)
    made = [DeltaTable(warehouse.path(table)).metadata().configuration for table in (EVENTS, QUARANTINE)]
    assert [one["delta.logRetentionDuration"] for one in made] == ["interval 7 days", "interval 1 days"]
    assert {one["delta.checkpointInterval"] for one in made} == {"50"}


def test_partitions_are_dropped_by_number_and_their_files_vanish_after_a_vacuum(
    spark: SparkSession, warehouse: Warehouse
) -> None:
    assert operations.highest_partition(warehouse, RECOMMENDATION_UPDATES, "epoch") is None
    updates(spark, warehouse, [2, 9, 9, 10, 11])
    assert operations.highest_partition(warehouse, RECOMMENDATION_UPDATES, "epoch") == 11
    before = warehouse.version(RECOMMENDATION_UPDATES)
    # As texts 10 and 11 come before 9.
    assert operations.drop_partitions(warehouse, RECOMMENDATION_UPDATES, "epoch", up_to=9) >= 2
    assert {row["epoch"] for row in warehouse.read(RECOMMENDATION_UPDATES).collect()} == {10, 11}
    assert warehouse.read(RECOMMENDATION_UPDATES, before).count() == 5
    operations.vacuum(warehouse, RECOMMENDATION_UPDATES, hours=1)
    assert warehouse.read(RECOMMENDATION_UPDATES, before).count() == 5
    operations.vacuum(warehouse, RECOMMENDATION_UPDATES, hours=0)
    assert operations.remove_empty_partitions(warehouse, RECOMMENDATION_UPDATES, "epoch", below=12) == 2
    left = {file.parent.name for file in data_files(warehouse, RECOMMENDATION_UPDATES.name)}
    assert left == {"epoch=10", "epoch=11"}
    version = warehouse.version(RECOMMENDATION_UPDATES)
    assert operations.drop_partitions(warehouse, RECOMMENDATION_UPDATES, "epoch", up_to=9) == 0
    assert operations.vacuum(warehouse, RECOMMENDATION_UPDATES, hours=0) == 0
    assert warehouse.version(RECOMMENDATION_UPDATES) == version


def test_packing_keeps_rows_and_waits_until_it_is_worth_it(warehouse: Warehouse) -> None:
    with_metrics(warehouse, 6)
    before = metrics_rows(warehouse)
    assert operations.pack(warehouse, STREAM_METRICS, target_mb=1, from_files=7) == 0
    assert operations.pack(warehouse, STREAM_METRICS, target_mb=1, from_files=6) == 6
    assert metrics_rows(warehouse) == before
    facts = table_facts(warehouse.folder, STREAM_METRICS)
    assert facts is not None
    assert facts["files"] == 1
    table = DeltaTable(warehouse.path(STREAM_METRICS))
    log = Path(warehouse.path(STREAM_METRICS)) / "_delta_log" / f"{table.version():020}.json"
    # Else a stream that reads the table would take all rows for new ones.
    assert '"dataChange":true' not in log.read_text().replace(" ", "")


def test_forgetting_goes_by_the_newest_row_and_keeps_each_querys_last(warehouse: Warehouse) -> None:
    warehouse.create(STREAM_METRICS)
    for batch, age in enumerate([40, 31, 29, 0]):
        append_row(warehouse, figures(batch, finished_at=NEWEST - days(age)), STREAM_METRICS)
    for batch in (8, 9):
        append_row(warehouse, figures(batch, query_id="it's old", finished_at=NEWEST - days(90)), STREAM_METRICS)
    last = ("query_id", "batch_id")
    assert operations.forget(warehouse, STREAM_METRICS, "finished_at", days=100, but_last_of=last) == 0
    assert operations.forget(warehouse, STREAM_METRICS, "finished_at", days=30, but_last_of=last) == 3
    remaining = [(row["query_id"], row["batch_id"]) for row in metrics_rows(warehouse)]
    assert remaining == [("it's old", 9), ("q", 2), ("q", 3)]
    assert metrics_rows(warehouse)[1]["quarantined"] == [("bad_time", 1)]


def test_forgetting_in_an_empty_table_is_nothing(warehouse: Warehouse) -> None:
    warehouse.create(QUARANTINE)
    assert operations.forget(warehouse, QUARANTINE, "first_seen", days=1) == 0


def test_a_shortened_log_reads_the_same(spark: SparkSession, warehouse: Warehouse) -> None:
    warehouse.append(frame(spark, STREAM_METRICS, [figures(100)]), STREAM_METRICS)
    with_metrics(warehouse, 4)
    log = Path(warehouse.path(STREAM_METRICS)) / "_delta_log"
    killed, going_on = log / "_commit_killed.json.tmp", log / "_commit_going_on.json.tmp"
    killed.touch()
    long_ago = time.time() - 3 * 86_400
    for file in log.iterdir():
        os.utime(file, (long_ago, long_ago))
    going_on.touch()
    append_row(warehouse, figures(4), STREAM_METRICS)
    before = metrics_rows(warehouse)
    operations.shorten_log(warehouse, STREAM_METRICS)
    assert [file.name for file in log.iterdir() if file.name.lstrip(".") < f"{4:020}"] == []
    assert (killed.exists(), going_on.exists()) == (False, True)
    assert metrics_rows(warehouse) == before
    assert warehouse.read(STREAM_METRICS).count() == 6


def test_a_vacuum_finds_partitions_with_odd_names(spark: SparkSession, warehouse: Warehouse) -> None:
    for _ in range(2):
        warehouse.replace(frame(spark, EVENTS, [{"source": "a shop: 100%"}]), EVENTS)
    assert operations.vacuum(warehouse, EVENTS, hours=0) == 1
    live = {Path(unquote(name)).name for name in DeltaTable(warehouse.path(EVENTS)).file_uris()}
    assert {file.name for file in data_files(warehouse, EVENTS.name) if file.suffix == ".parquet"} == live
    assert warehouse.read(EVENTS).count() == 1


def test_a_vacuum_leaves_nothing_of_a_replaced_spark_file(spark: SparkSession, warehouse: Warehouse) -> None:
    for _ in range(3):
        warehouse.replace(frame(spark, STREAM_METRICS, [figures(1)]), STREAM_METRICS)
    orphan = warehouse.folder / STREAM_METRICS.name / "part-of-a-killed-write.parquet"
    orphan.write_bytes(b"half")
    assert operations.vacuum(warehouse, STREAM_METRICS, hours=0) == 3
    files = {file.name for file in data_files(warehouse, STREAM_METRICS.name)}
    live = {Path(name).name for name in DeltaTable(warehouse.path(STREAM_METRICS)).file_uris()}
    assert files == live | {f".{name}.crc" for name in live}


def test_a_vacuum_leaves_alone_what_says_which_rows_of_files_are_left_out(
    spark: SparkSession, warehouse: Warehouse
) -> None:
    warehouse.append(frame(spark, STREAM_METRICS, [{"batch_id": number} for number in range(6)]), STREAM_METRICS)
    path = warehouse.path(STREAM_METRICS)
    spark.sql(f"ALTER TABLE delta.`{path}` SET TBLPROPERTIES ('delta.enableDeletionVectors' = true)")
    spark.sql(f"DELETE FROM delta.`{path}` WHERE batch_id < 2")
    vectors = list(Path(path).glob("deletion_vector_*.bin"))
    assert operations.vacuum(warehouse, STREAM_METRICS, hours=0) == 0
    assert vectors
    assert all(file.exists() for file in vectors)
    assert sorted(row.batch_id for row in warehouse.read(STREAM_METRICS).collect()) == [2, 3, 4, 5]
