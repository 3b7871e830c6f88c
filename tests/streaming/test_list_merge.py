"""A compaction's merge by Arrow: the same lists as the SQL text gives, whatever files and ranges they come in."""

import os
import tempfile
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import duckdb
import pyarrow as pa
import pytest
from deltalake import DeltaTable
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from freshet.contracts import RECOMMENDATION_UPDATES, RECOMMENDATIONS, TableContract
from freshet.core.errors import ContractError, StateError
from freshet.service.compaction import list_merge
from freshet.service.compaction.list_merge import MergeProcess, Rest, merge_lists
from freshet.service.compaction.newest_lists import newest_lists
from freshet.service.lists.latest import LATEST_RECOMMENDATIONS
from freshet.tables.format.arrow_rows import arrow_schema
from freshet.tables.format.data_files import live_files
from freshet.tables.leases import lease
from freshet.tables.small_writes import append_arrow
from freshet.tables.warehouse import Warehouse
from freshet.tables.writers.replacements import replace_by_parts
from tests.factories import Row, moment
from tests.streaming.compacted_shop import MADE, Shop
from tests.streaming.service import until
from tests.streaming.test_latest import batch_list, stream_list

pytestmark = pytest.mark.streaming

USERS = st.sampled_from(["", "a", "anon:a", "b", "u1", "u10", "u2", "ä", "ﬀ", "😀"])
GENERATIONS, CLOCKS = st.integers(1, 2), st.sampled_from(["2020-02-01", "2020-02-02"])
BATCH = st.lists(
    st.builds(batch_list, user=USERS, item=st.just("batch"), generation=GENERATIONS, clock=CLOCKS),
    unique_by=lambda row: row["user_id"],
)
UPDATES = st.lists(
    st.builds(
        stream_list, user=USERS, item=st.sampled_from("xyz"), clock=CLOCKS, query=st.sampled_from(["q1", "q2"]),
        batch=st.integers(0, 11), generation=GENERATIONS,
    ),
    max_size=40, unique_by=lambda row: (row["user_id"], row["query_id"], row["batch_id"]),
)  # fmt: skip


def made(rows: list[Row], contract: TableContract, epoch: int = 0) -> pa.Table:
    known = {
        "generated_at": MADE, "model_version": "1.0", "caused_by_event_time": MADE, "caused_by_received_time": MADE,
        "epoch": epoch,
    }  # fmt: skip
    full = [{**known, **row, "event_clock": moment(row["event_clock"])} for row in rows]
    return pa.Table.from_pylist(full, schema=arrow_schema(contract))


def by_sql(folder: Path) -> list[Row]:
    """The slow, obvious oracle."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for table in (RECOMMENDATIONS, RECOMMENDATION_UPDATES):
            connection.register(table.name, DeltaTable(folder / table.name).to_pyarrow_table())
        found = connection.sql(f"SELECT * FROM ({LATEST_RECOMMENDATIONS}) ORDER BY user_id").to_arrow_table()
    return found.cast(arrow_schema(RECOMMENDATIONS)).to_pylist()


@seed(1)
@settings(max_examples=60, deadline=None)
@given(BATCH, UPDATES, st.integers(1, 9), st.integers(1, 4))
def test_the_newest_lists_are_those_of_the_sql_text(
    batch: list[Row], updates: list[Row], per_range: int, per_file: int
) -> None:
    with tempfile.TemporaryDirectory() as place:
        warehouse = Warehouse(None, Path(place))  # type: ignore[arg-type]  # nothing here asks Spark
        warehouse.create(RECOMMENDATIONS)
        warehouse.create(RECOMMENDATION_UPDATES)
        append_arrow(warehouse, made(batch, RECOMMENDATIONS), RECOMMENDATIONS)
        for begin in range(0, len(updates), 9):
            # Of two lists alike in all else the later epoch is the newer one.
            rows = made(updates[begin : begin + 9], RECOMMENDATION_UPDATES, epoch=begin)
            append_arrow(warehouse, rows, RECOMMENDATION_UPDATES)
        files = [
            file for table in (RECOMMENDATIONS, RECOMMENDATION_UPDATES) for file in live_files(Path(place) / table.name)
        ]
        parts = list(newest_lists(files, per_file=per_file, scratch=Path(place), per_range=per_range))
        assert all(part.num_rows == per_file for part in parts[:-1])
        found = pa.concat_tables([arrow_schema(RECOMMENDATIONS).empty_table(), *parts])
        assert sorted(found.to_pylist(), key=lambda row: row["user_id"]) == by_sql(Path(place))
        users = [user.encode() for user in found.column("user_id").to_pylist()]
        assert users == sorted(users)
        assert {file.name for file in Path(place).iterdir()} == {RECOMMENDATIONS.name, RECOMMENDATION_UPDATES.name}


def test_epochs_that_go_on_are_left_out(shop: Shop) -> None:
    shop.batch(stream_list("u1", "ended", "2020-02-02", batch=1))
    ended = shop.compaction.advance()
    shop.batch(stream_list("u1", "goes on", "2020-02-03", batch=2))
    merge_lists(shop.warehouse.folder, up_to=ended)
    rows = DeltaTable(shop.warehouse.path(RECOMMENDATIONS)).to_pyarrow_table().to_pylist()
    assert {row["user_id"]: row["items"][0]["item_id"] for row in rows}["u1"] == "ended"


def test_a_table_whose_rows_were_deleted_by_marks_is_merged_by_spark(spark: SparkSession, shop: Shop) -> None:
    shop.batch(stream_list("u1", "stream", "2020-02-02", batch=1))
    path = shop.warehouse.path(RECOMMENDATIONS)
    spark.sql(f"ALTER TABLE delta.`{path}` SET TBLPROPERTIES ('delta.enableDeletionVectors' = true)")
    spark.sql(f"DELETE FROM delta.`{path}` WHERE user_id = 'u4'")
    shop.compacted()
    found = {row["user_id"] for row in shop.warehouse.read(RECOMMENDATIONS).collect()}
    assert found == {"u0", "u1", "u2", "u6", "u8", *(f"u{n}" for n in range(10, 20, 2))}


def test_a_part_that_breaks_a_rule_leaves_the_table_and_its_folder_as_they_were(shop: Shop) -> None:
    folder = Path(shop.warehouse.path(RECOMMENDATIONS))
    sound = made([batch_list("u1", "item")], RECOMMENDATIONS)
    broken = sound.set_column(sound.column_names.index("source"), "source", pa.array(["nobody"]))
    before = shop.warehouse.version(RECOMMENDATIONS), sorted(folder.glob("*.parquet"))
    with pytest.raises(ContractError, match="source"):
        replace_by_parts(folder, iter([sound, broken]), RECOMMENDATIONS)
    assert (shop.warehouse.version(RECOMMENDATIONS), sorted(folder.glob("*.parquet"))) == before


def test_what_ended_the_other_process_is_reported(tmp_path: Path) -> None:
    with lease(tmp_path, "table", "lists") as lock, pytest.raises(StateError, match=r"a compaction failed; found .+"):
        MergeProcess().run(tmp_path, up_to=0, lock=lock)


def test_a_merge_that_is_ended_changes_nothing(shop: Shop) -> None:
    shop.batch()
    before = shop.warehouse.version(RECOMMENDATIONS)
    shop.compaction.start()
    until(lambda: shop.compaction._process._process is not None)
    shop.compaction.end()
    with pytest.raises(StateError, match="compaction failed"):
        shop.compaction.close()
    assert shop.warehouse.version(RECOMMENDATIONS) == before
    with pytest.raises(StateError, match="the stream ends"):
        shop.compaction.merge(0)
    shop.started().merge(0)
    assert shop.newest() == shop.expected()


def test_a_merge_gives_way_to_everything_else(shop: Shop) -> None:
    shop.batch()
    before = os.getpriority(os.PRIO_PROCESS, 0)
    shop.compaction.start()
    until(lambda: shop.compaction._process._process is not None)
    started = shop.compaction._process._process
    assert started is not None
    try:
        until(lambda: os.getpriority(os.PRIO_PROCESS, started.pid) == 19)
        assert os.getpriority(os.PRIO_PROCESS, 0) == before
    finally:
        shop.compaction.close()


def test_a_merge_rests_after_each_piece_of_work_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    worked, slept = iter([10.0, 11.0, 11.5, 13.5, 14.0]), list[float]()
    monkeypatch.setattr(list_merge, "time", SimpleNamespace(process_time=lambda: next(worked), sleep=slept.append))
    rest = Rest(4.0, 9.0)
    for _ in range(4):
        rest()
    # One second of work, a half, two, of whose six seconds of rest four and a half are left, a half.
    assert slept == [3.0, 1.5, 4.5, 0.0]


def test_newest_lists_rest_after_laying_rows_out_and_after_each_range(shop: Shop) -> None:
    shop.batch(*(stream_list(f"u{n}", "item", "2020-02-02", batch=1) for n in range(4)))
    files = live_files(shop.warehouse.folder / RECOMMENDATION_UPDATES.name)
    rests, at_part = [0], list[int]()
    for _ in newest_lists(
        files, per_file=1, per_range=2, scratch=shop.home.root, rest=lambda: rests.append(rests[-1] + 1)
    ):
        at_part.append(rests[-1])
    assert at_part == [2, 2, 3, 3]


def test_the_process_of_a_merge_has_the_lease_for_as_long_as_it_lives(shop: Shop) -> None:
    shop.batch()
    process, threads = MergeProcess(), list[Thread]()
    with lease(shop.home.locks, "table", RECOMMENDATIONS.name) as lock:
        run = Thread(target=process.run, args=(shop.warehouse.folder,), kwargs={"up_to": 0, "lock": lock})
        threads.append(run)
        run.start()
        until(lambda: process._process is not None)
    # As after a kill of the stream's own process: what it had open is closed.
    assert not shop.compaction.merge(0).merged
    threads[0].join()
    assert shop.compaction.merge(0).merged
    assert shop.newest() == shop.expected()
