"""Figures of two processes in one table: the writer without Spark puts a commit only where none is yet."""

import multiprocessing
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from freshet.contracts import STREAM_METRICS
from freshet.tables.small_writes import append_row
from freshet.tables.warehouse import Warehouse

pytestmark = pytest.mark.delta

ROWS = 40


def write(folder: str, query: str) -> None:
    warehouse: Any = Warehouse(None, Path(folder))  # type: ignore[arg-type]  # nothing here needs Spark
    for number in range(ROWS):
        row = {"query_id": query, "batch_id": number, "job": "lists", "finished_at": datetime(2026, 1, 1, tzinfo=UTC),
               "touched_shoppers": 0, "lists": 0, "unknown_items": 0, "seconds": 0.0}  # fmt: skip
        append_row(warehouse, row, STREAM_METRICS)


def test_no_row_is_lost_between_two_processes(tmp_path: Path) -> None:
    Warehouse(None, tmp_path).create(STREAM_METRICS)  # type: ignore[arg-type]
    processes = multiprocessing.get_context("spawn")
    writers = [processes.Process(target=write, args=(str(tmp_path), query)) for query in ("a", "b")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(timeout=240)
        assert writer.exitcode == 0
    found = DeltaTable(str(tmp_path / STREAM_METRICS.name)).to_pyarrow_table().column("query_id").to_pylist()
    assert Counter(found) == {"a": ROWS, "b": ROWS}
