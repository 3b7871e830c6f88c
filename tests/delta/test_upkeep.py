"""What the upkeep of a streamed table removes, and what it must leave to others who write."""

import dataclasses
import os
import time

import pytest
from pyspark.sql import SparkSession

from freshet.contracts import EVALUATION_RESULTS, EVENTS, QUARANTINE, STREAM_METRICS, TableContract
from freshet.runs.settings import load_settings
from freshet.tables.maintenance.upkeep import tidy
from freshet.tables.warehouse import Warehouse

pytestmark = pytest.mark.delta


@pytest.mark.parametrize(
    ("table", "leaves"), [(STREAM_METRICS, True), (QUARANTINE, True), (EVALUATION_RESULTS, True), (EVENTS, False)]
)
def test_a_file_whose_commit_is_just_to_come_is_left_where_several_write(
    spark: SparkSession, warehouse: Warehouse, table: TableContract, leaves: bool
) -> None:
    at_once = dataclasses.replace(load_settings("test").compaction, vacuum_hours=0, events_vacuum_hours=0)
    warehouse.create(table)
    written, killed = (warehouse.folder / table.name / f"part-{name}.parquet" for name in ("written", "killed"))
    for file in (written, killed):
        file.write_bytes(b"rows")
    long_ago = time.time() - 3 * 3600
    os.utime(killed, (long_ago, long_ago))
    assert tidy(warehouse, table, at_once).files_removed == (1 if leaves else 2)
    assert (written.exists(), killed.exists()) == (leaves, False)
