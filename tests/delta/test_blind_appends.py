"""Appends that do not open the table: what other writers and readers of Delta make of them."""

import errno
import json
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from pyspark.sql import SparkSession
from pyspark.sql.types import BooleanType, IntegerType, LongType, StringType, TimestampType

from freshet.contracts import Column, TableContract
from freshet.core.errors import ContractError
from freshet.tables import small_writes
from freshet.tables.format.arrow_rows import arrow_schema
from freshet.tables.format.data_files import NotPlainError
from freshet.tables.small_writes import append_arrow
from freshet.tables.warehouse import Warehouse
from freshet.tables.writers import blind_append
from freshet.tables.writers.blind_append import append_blind
from tests.factories import moment

pytestmark = pytest.mark.delta

CONTRACT = TableContract(
    name="things",
    row="one thing",
    columns=(
        Column("id", StringType(), "its id", required=True),
        Column("at", TimestampType(), "a time"),
        Column("kind", StringType(), "its kind"),
        Column("epoch", LongType(), "a number"),
        Column("size", IntegerType(), "its size", minimum=0),
    ),
    key=("id",),
    partition_by=("kind", "epoch"),
    log_days=1,
)


def things(*rows: tuple[str, str | None, int | None]) -> pa.Table:
    """(id, kind, epoch)."""
    made = [
        {"id": name, "at": datetime(2026, 1, 1, 0, 0, 0, 123_999, UTC), "kind": kind, "epoch": epoch, "size": n}
        for n, (name, kind, epoch) in enumerate(rows)
    ]
    return pa.Table.from_pylist(made, schema=arrow_schema(CONTRACT))


ROWS = things(("a", "x", 0), ("b", "x", 0), ("c", "ü/ %=+", 1), ("d", None, None))


@pytest.fixture
def folder(warehouse: Warehouse) -> Path:
    warehouse.create(CONTRACT)
    return Path(warehouse.path(CONTRACT))


def ids(folder: Path) -> list[str]:
    return sorted(DeltaTable(folder).to_pyarrow_table().column("id").to_pylist())


def test_spark_and_another_library_read_the_same_rows_and_skip_files_by_their_ends(
    spark: SparkSession, warehouse: Warehouse, folder: Path
) -> None:
    assert append_blind(folder, ROWS, CONTRACT) == 1
    expected = sorted(ROWS.to_pylist(), key=lambda row: row["id"])
    assert sorted(DeltaTable(folder).to_pyarrow_table().select(ROWS.column_names).to_pylist(),
                  key=lambda row: row["id"]) == expected  # fmt: skip
    found = warehouse.read(CONTRACT).orderBy("id").toArrow()
    assert found.cast(ROWS.schema).to_pylist() == expected
    assert warehouse.read(CONTRACT).where("kind = 'ü/ %=+' and epoch = 1").select("id").collect() == [("c",)]
    at = moment("2026-01-01").replace(microsecond=123_999)
    assert warehouse.read(CONTRACT).where(f"at = timestamp'{at}'").count() == 4
    actions = pa.table(DeltaTable(folder).get_add_actions(flatten=True)).to_pylist()
    assert {(row["num_records"], row["min.id"], row["max.id"]) for row in actions} == {
        (2, "a", "b"), (1, "c", "c"), (1, "d", "d"),
    }  # fmt: skip
    assert {row["null_count.at"] for row in actions} == {0}


def test_commits_of_others_come_before_the_next_one(spark: SparkSession, warehouse: Warehouse, folder: Path) -> None:
    append_blind(folder, things(("a", "x", 0)), CONTRACT)
    warehouse.append(spark.createDataFrame(things(("b", "x", 0)).to_pandas(), CONTRACT.schema), CONTRACT)
    write_deltalake(folder, things(("c", "x", 0)), mode="append")
    assert append_blind(folder, things(("d", "x", 0)), CONTRACT) == 4
    DeltaTable(folder).optimize.compact()
    assert append_blind(folder, things(("e", "x", 0)), CONTRACT) == 6
    assert ids(folder) == ["a", "b", "c", "d", "e"]
    assert warehouse.read(CONTRACT).count() == 5


def test_a_commit_that_another_writer_gets_first_is_passed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append_blind(folder, things(("a", "x", 0)), CONTRACT)
    link = blind_append.os.link

    def beaten(source: Any, target: Any) -> None:
        monkeypatch.setattr(blind_append.os, "link", link)
        write_deltalake(folder, things(("b", "x", 0)), mode="append")
        link(source, target)

    monkeypatch.setattr(blind_append.os, "link", beaten)
    assert append_blind(folder, things(("c", "x", 0)), CONTRACT) == 3
    assert ids(folder) == ["a", "b", "c"]
    assert not list((folder / "_delta_log").glob("*.tmp"))


def test_threads_lose_nothing(folder: Path) -> None:
    def work(thread: int) -> None:
        for number in range(20):
            append_blind(folder, things((f"{thread}-{number}", "x", 0)), CONTRACT)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(ids(folder)) == len(set(ids(folder))) == 80
    assert DeltaTable(folder).version() == 80


def test_a_failed_commit_leaves_the_log_as_it_was(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: Any, target: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(blind_append.os, "link", full)
    with pytest.raises(OSError, match="No space left"):
        append_blind(folder, things(("a", "x", 0)), CONTRACT)
    assert [file.name for file in (folder / "_delta_log").iterdir()] == [f"{0:020d}.json"]
    monkeypatch.undo()
    append_blind(folder, things(("a", "x", 0)), CONTRACT)
    assert ids(folder) == ["a"]


def test_ends_that_are_long_are_cut_and_still_ends(spark: SparkSession, warehouse: Warehouse, folder: Path) -> None:
    append_blind(folder, things(("b" * 299, "x", 0), ("b" * 300, "x", 0)), CONTRACT)
    stats = pa.table(DeltaTable(folder).get_add_actions(flatten=True)).to_pylist()[0]
    assert stats["min.id"] == "b" * 256
    assert "b" * 300 < stats["max.id"] < "c"
    assert warehouse.read(CONTRACT).where(f"id = '{'b' * 300}'").count() == 1
    assert DeltaTable(folder).to_pyarrow_table(filters=[("id", "=", "b" * 300)]).num_rows == 1


def test_a_table_in_place_of_another_is_noticed(warehouse: Warehouse, folder: Path) -> None:
    for name in ("a", "b"):
        append_blind(folder, things((name, "x", 0)), CONTRACT)
    folder.rename(folder.with_name("old"))
    warehouse.create(CONTRACT)
    assert append_blind(folder, things(("c", "x", 0)), CONTRACT) == 1
    for name in ("d", "e"):
        write_deltalake(folder, things((name, "x", 0)), mode="append")
    assert ids(folder) == ["c", "d", "e"]


def test_a_table_whose_columns_were_changed_meanwhile_is_refused_and_as_it_was(folder: Path) -> None:
    append_blind(folder, things(("a", "x", 0)), CONTRACT)
    changed = things(("b", "x", 0)).append_column("more", pa.array([1]))
    write_deltalake(folder, changed, mode="append", schema_mode="merge")
    with pytest.raises(ContractError, match="more"):
        append_blind(folder, things(("c", "x", 0)), CONTRACT)
    assert ids(folder) == ["a", "b"]


def test_what_asks_more_of_a_writer_is_left_to_the_library(warehouse: Warehouse, folder: Path) -> None:
    DeltaTable(folder).alter.set_table_properties({"delta.enableChangeDataFeed": "true"})
    with pytest.raises(NotPlainError):
        append_blind(folder, things(("a", "x", 0)), CONTRACT)
    append_arrow(warehouse, things(("a", "x", 0)), CONTRACT)
    assert ids(folder) == ["a"]


def test_values_that_make_no_folder_are_left_to_the_library(warehouse: Warehouse) -> None:
    flagged = TableContract(
        name="flagged", row="one", columns=(Column("id", StringType(), "id"), Column("on", BooleanType(), "flag")),
        key=("id",), partition_by=("on",),
    )  # fmt: skip
    warehouse.create(flagged)
    rows = pa.table({"id": ["a"], "on": [True]})
    assert small_writes.append_arrow(warehouse, rows, flagged) == 1
    assert ids(Path(warehouse.path(flagged))) == ["a"]


def test_a_checkpoint_is_written_as_often_as_the_table_asks_for(folder: Path) -> None:
    for number in range(50):
        append_blind(folder, things((str(number), "x", 0)), CONTRACT)
    for thread in threading.enumerate():
        if thread.name == "checkpoint-things":
            thread.join()
    last = json.loads((folder / "_delta_log" / "_last_checkpoint").read_text())
    # After the 50th entry of the log, version 49, or after the one that followed.
    assert last["version"] in (49, 50)
    assert len(ids(folder)) == 50
