"""Rows that steps share on disk: as Spark reads them, and as workers do."""

import os
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from freshet.contracts.shoppers import HISTORY
from freshet.ranking.histories.entry_columns import (
    STORED,
    STORED_TEXTS,
    entry_columns,
    listed_since,
    with_entry_columns,
)
from freshet.ranking.histories.history_block import read_entries
from freshet.tables.format.kept_rows import Keeper
from tests.factories import local_frame, moment

COLUMNS = ("user_id", *STORED)
CLOCK = moment("2020-02-05")
NAMES = ["view_item", "purchase"]


def history(user: int) -> list[tuple[object, ...]]:
    """Of all lengths from 0 to 5; orders, items and names repeat; orders and items may be missing."""
    return [
        (CLOCK - timedelta(days=n, microseconds=user), n, None if n == 4 else f"i{(user * n) % 11}",
         [*NAMES, "refund"][n % 3], None if n % 2 else f"o{user % 3}")
        for n in range(1, user % 6 + 1)
    ]  # fmt: skip


ROWS = [{"user_id": f"u{n:02}", "history": history(n)} for n in range(60)]


@pytest.mark.parametrize("files", [1, 3, 20])
def test_workers_read_each_row_once_as_spark_does(spark: SparkSession, tmp_path: Path, files: int) -> None:
    frame = local_frame(spark, f"user_id string, history {HISTORY.simpleString()}", ROWS).repartition(files)
    kept = Keeper(tmp_path).kept(frame)
    assert kept.frame.schema == frame.schema
    given, read = kept.in_workers(COLUMNS, coded=STORED_TEXTS)
    plain = with_entry_columns(frame)
    found = given.mapInArrow(lambda parts: (_texts(entry_columns(batch)) for batch in read(parts)), plain.schema)
    assert given.rdd.getNumPartitions() >= min(4, len(ROWS))
    expected = sorted(plain.collect(), key=lambda row: row["user_id"])
    assert len(expected) == 60
    assert sorted(found.collect(), key=lambda row: row["user_id"]) == expected


def _texts(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Codes as texts, times with the zone that Spark expects."""
    columns = [
        column.cast(pa.list_(pa.timestamp("us", tz="UTC") if "time" in name else pa.string()))
        if name.startswith("history") else column
        for name, column in zip(batch.schema.names, batch.columns, strict=True)
    ]  # fmt: skip
    return pa.RecordBatch.from_arrays(columns, batch.schema.names)


@pytest.mark.parametrize("at_once", [1, 4, 7, 64])
def test_a_part_begins_and_ends_at_any_row_of_what_is_read_at_once(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr("freshet.tables.format.kept_rows._ROWS_AT_ONCE", at_once)
    frame = local_frame(spark, f"user_id string, history {HISTORY.simpleString()}", ROWS).repartition(1)
    given, read = Keeper(tmp_path).kept(frame).in_workers(("user_id",), coded=())
    parts = [pa.RecordBatch.from_arrays([pa.array([part])], ["part"]) for part in range(given.count())]
    assert len(parts) >= 4
    found = [[user for batch in read(iter([part])) for user in batch.column(0).to_pylist()] for part in parts]
    assert max(map(len, found)) - min(map(len, found)) <= 1
    assert sorted(user for users in found for user in users) == [row["user_id"] for row in ROWS]


def test_there_may_be_no_rows(spark: SparkSession, tmp_path: Path) -> None:
    kept = Keeper(tmp_path).kept(local_frame(spark, f"user_id string, history {HISTORY.simpleString()}", []))
    given, read = kept.in_workers(("user_id",), coded=())
    assert kept.frame.count() == 0
    assert given.mapInArrow(read, "user_id string").count() == 0


def test_codes_mean_what_their_texts_do() -> None:
    entry = pa.struct([(field.name, pa.timestamp("us", tz="UTC") if field.name == "event_time" else pa.int64()
                        if field.name == "entry_key" else pa.string()) for field in HISTORY.elementType])  # fmt: skip
    entries = [[dict(zip(HISTORY.elementType.names, one, strict=True)) for one in row["history"]] for row in ROWS]
    batch = pa.RecordBatch.from_arrays(
        [pa.array([row["user_id"] for row in ROWS]), pa.array([*entries[:-1], None], pa.list_(entry))],
        ["user_id", "history"],
    )
    plain = entry_columns(batch)
    coded = pa.RecordBatch.from_arrays(
        [column if column.type.id != pa.list_(pa.int8()).id or column.type.value_type != pa.string()
         else pa.ListArray.from_arrays(column.offsets, column.values.dictionary_encode()) for column in plain.columns],
        plain.schema.names,
    )  # fmt: skip
    items = pa.array([f"i{n}" for n in range(3, 11)])
    blocks = [read_entries(one, items=items, event_names=NAMES, clock=CLOCK) for one in (plain, coded, coded.slice(7))]
    for name in ("row", "item", "event", "age_days", "unknown"):
        np.testing.assert_array_equal(getattr(blocks[0], name), getattr(blocks[1], name))
    assert blocks[0].unknown.sum() > 0
    assert len(blocks[0].item) > 50
    np.testing.assert_array_equal(blocks[2].item, blocks[0].part(7, 60).item)


def test_of_anonymous_shoppers_those_of_late_are_listed() -> None:
    times = pa.array([[CLOCK, CLOCK - timedelta(1)], [CLOCK - timedelta(microseconds=1)], [], None, [], []],
                     pa.list_(pa.timestamp("us")))  # fmt: skip
    users = pa.array(["anon:new", "anon:old", "anon:none", "anon:null", "known", None])
    batch = pa.RecordBatch.from_arrays([users, times], ["user_id", "history_event_time"])
    assert listed_since(batch, CLOCK).column("user_id").to_pylist() == ["anon:new", "known", None]
    assert listed_since(batch.slice(1), CLOCK).column("user_id").to_pylist() == ["known", None]


def test_what_is_kept_goes_with_its_keeper_and_what_a_killed_one_left_later(
    spark: SparkSession, tmp_path: Path
) -> None:
    frame = spark.range(3)
    mine, other = Keeper(tmp_path), Keeper(tmp_path)
    kept, theirs = mine.kept(frame), other.kept(frame)
    mine.close()
    assert not kept.folder.exists()
    assert theirs.frame.count() == 3
    then = moment("2020-02-05").timestamp()
    os.utime(theirs.folder.parent, (then, then))
    mine.forget_others(moment("2020-02-05"))
    assert theirs.folder.exists()
    mine.forget_others(moment("2020-02-06"))
    assert not theirs.folder.parent.exists()
