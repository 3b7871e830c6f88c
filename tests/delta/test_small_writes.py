"""Appends without Spark: the same table as Spark's, the same checks, and what a table holds of a query."""

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest.mock import MagicMock

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import StringType

from freshet.contracts import EVALUATION_RESULTS, STREAM_METRICS, Column, TableContract
from freshet.contracts.row_rules import arrow_problems, spark_problems
from freshet.core.errors import ContractError
from freshet.runs.home import Home
from freshet.tables.format.data_files import written_file
from freshet.tables.small_writes import append_arrow, append_row, replace_rows
from freshet.tables.transactions import clear, newest_batch
from freshet.tables.warehouse import Warehouse
from freshet.tables.writers.replacements import replace_by_parts
from tests.factories import SOME_MOMENT, Row, frame

pytestmark = pytest.mark.delta


def figures(batch_id: int, **changes: object) -> Row:
    row: Row = {
        "query_id": "q", "batch_id": batch_id, "job": "lists", "finished_at": SOME_MOMENT, "event_clock": SOME_MOMENT,
        "input": 3, "accepted": 2, "quarantined": {"bad_time": 1}, "touched_shoppers": 2, "lists": 1,
        "unknown_items": 0, "state_shoppers": None, "backlog": None, "latency_p50_s": 0.5, "latency_p95_s": None,
        "seconds": 0.5, "model_version": "1.0",
    }  # fmt: skip
    return {**row, **changes}


def test_rows_of_all_writers_are_read_alike(spark: SparkSession, warehouse: Warehouse) -> None:
    warehouse.append(frame(spark, STREAM_METRICS, [figures(0)]), STREAM_METRICS)
    assert append_arrow(warehouse, frame(spark, STREAM_METRICS, [figures(1)]).toArrow(), STREAM_METRICS) == 1
    append_row(warehouse, figures(2), STREAM_METRICS)
    warehouse.append(frame(spark, STREAM_METRICS, [figures(3)]), STREAM_METRICS)
    found = [row.asDict() for row in warehouse.read(STREAM_METRICS).orderBy("batch_id").collect()]
    assert found == [figures(n) for n in range(4)]
    assert newest_batch(warehouse, STREAM_METRICS, "q") == 3
    assert newest_batch(warehouse, STREAM_METRICS, "other") == -1


def test_a_table_that_this_process_knows_is_the_one_that_is_there_now(
    spark: SparkSession, warehouse: Warehouse
) -> None:
    warehouse.create(STREAM_METRICS)
    append_row(warehouse, figures(0), STREAM_METRICS)
    # Emptied, then made anew in its place, with a log that is shorter than the known one.
    clear(warehouse, STREAM_METRICS)
    append_row(warehouse, figures(1), STREAM_METRICS)
    for batches in ((2,), (3, 4, 5, 6)):
        shutil.rmtree(warehouse.path(STREAM_METRICS))
        warehouse.create(STREAM_METRICS)
        for batch in batches:
            append_row(warehouse, figures(batch), STREAM_METRICS)
        found = DeltaTable(warehouse.path(STREAM_METRICS))
        assert sorted(found.to_pyarrow_table().column("batch_id").to_pylist()) == list(batches)
        assert found.version() == len(batches)


def test_what_others_have_committed_since_is_kept(spark: SparkSession, warehouse: Warehouse) -> None:
    warehouse.create(STREAM_METRICS)
    append_row(warehouse, figures(0), STREAM_METRICS)
    for number in range(1, 8, 2):
        warehouse.append(frame(spark, STREAM_METRICS, [figures(number)]), STREAM_METRICS)
        append_row(warehouse, figures(number + 1), STREAM_METRICS)
    found = DeltaTable(warehouse.path(STREAM_METRICS)).to_pyarrow_table().column("batch_id").to_pylist()
    assert sorted(found) == list(range(9))


def test_broken_rows_are_listed_all_at_once_and_nothing_is_written(warehouse: Warehouse) -> None:
    warehouse.create(STREAM_METRICS)
    with pytest.raises(ContractError) as refused:
        append_row(warehouse, figures(-1, job=None, seconds=float("nan")), STREAM_METRICS)
    text = str(refused.value)
    assert all(name in text for name in ("batch_id must be", "seconds must be", "job must be"))
    assert warehouse.version(STREAM_METRICS) == 0


def test_arrow_rules_are_those_of_the_spark_check(spark: SparkSession) -> None:
    rows = [figures(1), figures(1), figures(2, lists=-1), figures(3, query_id=None), figures(4, event_clock=None)]
    table = pa.Table.from_pylist(rows, schema=to_arrow_schema(STREAM_METRICS.schema, timezone="UTC"))
    by_spark = spark_problems(frame(spark, STREAM_METRICS, rows), STREAM_METRICS)
    by_arrow = arrow_problems(table, STREAM_METRICS)
    assert by_arrow == by_spark
    assert len(by_arrow) == 3


def test_no_rows_make_no_commit(spark: SparkSession, warehouse: Warehouse) -> None:
    warehouse.create(STREAM_METRICS)
    assert append_arrow(warehouse, frame(spark, STREAM_METRICS, []).toArrow(), STREAM_METRICS) == 0
    assert newest_batch(warehouse, STREAM_METRICS, "q") == -1
    clear(warehouse, STREAM_METRICS)
    assert warehouse.version(STREAM_METRICS) == 0


def test_cleared_table_is_empty_and_its_past_readable(warehouse: Warehouse) -> None:
    clear(warehouse, STREAM_METRICS)
    append_row(warehouse, figures(0), STREAM_METRICS)
    clear(warehouse, STREAM_METRICS)
    assert newest_batch(warehouse, STREAM_METRICS, "q") == -1
    assert DeltaTable(warehouse.path(STREAM_METRICS), version=1).to_pyarrow_table().num_rows == 1


def test_rows_that_are_replaced_at_once_all_stand(home: Home) -> None:
    warehouse, meeting = Warehouse(MagicMock(), home.warehouse), threading.Barrier(4)

    def write(run: str) -> None:
        meeting.wait(60)
        for value in (0.0, 1.0):
            figure = {"run_id": run, "task": "live", "model": "m", "metric": "ndcg", "k": 1, "value": value}
            replace_rows(
                warehouse, [{**figure, "users": 5, "split": "live"}], EVALUATION_RESULTS, where=f"run_id = '{run}'"
            )

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(write, "abcd"))
    rows = DeltaTable(warehouse.path(EVALUATION_RESULTS)).to_pyarrow_table().to_pylist()
    assert sorted((row["run_id"], row["value"]) for row in rows) == [(run, 1.0) for run in "abcd"]


@pytest.mark.parametrize("at", ["file", "commit"])
def test_a_replacement_that_fails_half_way_leaves_no_file(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    warehouse.create(STREAM_METRICS)
    folder = Path(warehouse.path(STREAM_METRICS))
    part = pa.Table.from_pylist([figures(1)], schema=to_arrow_schema(STREAM_METRICS.schema, timezone="UTC"))
    whole = pq.write_table

    def half(rows: pa.Table, file: Path, **how: object) -> None:
        whole(rows, file, **how)
        raise OSError("no room")

    if at == "file":
        monkeypatch.setattr(pq, "write_table", half)
    else:
        monkeypatch.setattr(DeltaTable, "create_write_transaction", MagicMock(side_effect=OSError("no room")))
    with pytest.raises(OSError, match="no room"):
        replace_by_parts(folder, iter([part]), STREAM_METRICS)
    assert list(folder.glob("*.parquet")) == []
    assert warehouse.version(STREAM_METRICS) == 0


def test_fractions_in_lists_are_not_looked_at_for_repeats(tmp_path: Path) -> None:
    entry = pa.struct({"score": pa.float64(), "item_id": pa.string()})
    schema = pa.schema({"id": pa.string(), "price": pa.float64(), "items": pa.list_(entry),
                        "metrics": pa.map_(pa.string(), pa.float64())})  # fmt: skip
    row = {"id": "a", "price": 2.5, "items": [{"score": 0.5, "item_id": "i"}], "metrics": [("auc", 0.5)]}
    contract = TableContract("figures", "a figure", (Column("id", StringType(), "its name"),), key=("id",))
    written_file(tmp_path, pa.Table.from_pylist([row], schema=schema), {}, contract)
    (file,) = tmp_path.glob("*.parquet")
    group = pq.ParquetFile(file).metadata.row_group(0)
    columns = [group.column(n) for n in range(group.num_columns)]
    assert [column.path_in_schema for column in columns if "RLE_DICTIONARY" not in column.encodings] == [
        "items.list.element.score"
    ]
    assert pq.read_table(file).to_pylist() == [row]
