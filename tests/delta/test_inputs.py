"""Raw records: their exact places, their values untouched, and files that are not what they should be."""

import gzip
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from deltalake import WriterProperties, write_deltalake
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from freshet.cleaning.source_columns import json_columns
from freshet.contracts.inputs import BROKEN_RECORD, InputFormat
from freshet.core.errors import InputError
from freshet.sources.file_records import count_records, dealt_out, raw_records

pytestmark = pytest.mark.delta


def form(kind: str, **over: object) -> InputFormat:
    values = {"format": kind, "files": None, "separator": ",", "quote": '"', "escape": '"', "comment": None,
              "column_names": None, "encoding": "UTF-8", "multi_line": False, "uneven_rows": False}  # fmt: skip
    return InputFormat(**{**values, **over})  # type: ignore[arg-type]


def test_rows_of_several_split_csv_files_are_numbered_as_they_stand(spark: SparkSession, tmp_path: Path) -> None:
    folder = tmp_path / "a day+b"
    (folder / "sub 1").mkdir(parents=True)
    for name, count in (("one.csv", 3000), ("sub 1/two é.csv", 7)):
        (folder / name).write_text("id,x\n" + "".join(f"{n},v\n" for n in range(count)), encoding="utf-8")
    before = spark.conf.get("spark.sql.files.maxPartitionBytes")
    spark.conf.set("spark.sql.files.maxPartitionBytes", "4096")  # so that one file is read in several blocks
    try:
        rows = raw_records(spark, folder, form("csv")).collect()
    finally:
        spark.conf.set("spark.sql.files.maxPartitionBytes", str(before))
    assert len(rows) == 3007
    assert all(int(row["id"]) == row["source_offset"] for row in rows)
    assert {row["source_partition"] for row in rows} == {"a day+b/one.csv", "a day+b/sub 1/two é.csv"}


def test_rows_of_a_delta_table_are_numbered_within_their_files(spark: SparkSession, tmp_path: Path) -> None:
    table = tmp_path / "a day+b"
    for part, count in enumerate((3000, 7)):
        rows = pa.table({"id": range(count), "part": [part] * count, "text": ["some text"] * count})
        # Several groups of rows, so that one file is read in several blocks.
        write_deltalake(table, rows, mode="append", writer_properties=WriterProperties(max_row_group_size=500))
    before = spark.conf.get("spark.sql.files.maxPartitionBytes")
    spark.conf.set("spark.sql.files.maxPartitionBytes", "4096")
    try:
        found = raw_records(spark, table, form("delta")).collect()
    finally:
        spark.conf.set("spark.sql.files.maxPartitionBytes", str(before))
    assert len(found) == 3007
    assert all(row["id"] == row["source_offset"] for row in found)
    files = {(row["part"], row["source_partition"]) for row in found}
    assert len(files) == 2
    assert all(name.startswith("a day+b/part-") for _, name in files)
    with pytest.raises(InputError, match="not a Delta table"):
        raw_records(spark, tmp_path, form("delta"))


def test_broken_lines_are_kept_whole(spark: SparkSession, tmp_path: Path) -> None:
    csv = tmp_path / "x.csv"
    csv.write_text('a,b\n1,2\n3\n4,5,6\n"x, y",7\n', encoding="utf-8")
    rows = {row["source_offset"]: row for row in raw_records(spark, csv, form("csv")).collect()}
    assert [rows[n][BROKEN_RECORD] for n in range(4)] == [None, "3", "4,5,6", None]
    assert rows[3]["a"] == "x, y"
    json = tmp_path / "x.json"
    json.write_text('{"a": 1.50, "u": {"id": 7}}\nno json\n{"a": "t"}\n', encoding="utf-8")
    read = raw_records(spark, json, form("json"), json_schema=json_columns(["a", "u.id"]))
    found = {row["source_offset"]: row for row in read.collect()}
    assert [found[n][BROKEN_RECORD] for n in range(3)] == [None, "no json", None]
    assert found[0]["u"]["id"] == "7"


def test_rows_of_one_large_piece_are_dealt_out_evenly_and_keep_their_places(
    spark: SparkSession, tmp_path: Path
) -> None:
    large, small = tmp_path / "large.parquet", tmp_path / "small.parquet"
    pd.DataFrame({"id": range(600_000)}).to_parquet(large, row_group_size=600_000)
    pd.DataFrame({"id": range(600_000)}).to_parquet(small, row_group_size=50_000)
    tasks = spark.sparkContext.defaultParallelism
    dealt = dealt_out(raw_records(spark, large, form("parquet")), [large], form("parquet"))
    counted = dealt.groupBy(F.spark_partition_id().alias("task")).agg(
        F.count(F.lit(1)).alias("rows"), F.count_if(F.col("id") != F.col("source_offset")).alias("misplaced")
    )
    rows = counted.collect()
    assert len(rows) == tasks
    assert sum(row["rows"] for row in rows) == 600_000
    assert all(row["misplaced"] == 0 and abs(row["rows"] - 600_000 / tasks) < 6_000 for row in rows)
    whole = raw_records(spark, small, form("parquet"))
    assert dealt_out(whole, [small], form("parquet")) is whole
    assert count_records(whole, [small], form("parquet")) == 600_000


def test_packed_csv_without_header_takes_the_mapping_s_names(spark: SparkSession, tmp_path: Path) -> None:
    path = tmp_path / "x.csv.gz"
    path.write_bytes(gzip.compress(b"1;2\n3;4\n"))
    rows = raw_records(spark, path, form("csv", separator=";", column_names=("p", "q"))).orderBy("p").collect()
    assert [(row["p"], row["q"], row["source_offset"]) for row in rows] == [("1", "2", 0), ("3", "4", 1)]


def test_parquet_times_in_nanoseconds_are_read_as_times(spark: SparkSession, tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    moments = pd.to_datetime(["2020-01-01 12:00:00.123456789", None])
    pd.DataFrame({"when": moments, "n": [1, 2]}).to_parquet(path)
    rows = raw_records(spark, path, form("parquet")).orderBy("source_offset").collect()
    assert [row["n"] for row in rows] == [1, 2]
    assert str(rows[0]["when"]) == "2020-01-01 12:00:00.123456"
    assert rows[1]["when"] is None


@pytest.mark.parametrize(
    ("name", "content", "kind", "expected"),
    [
        ("x.csv", b" \n", "csv", "the file is empty"),
        ("x.csv", b"PK\x03\x04zip", "csv", "ZIP"),
        ("x.csv", b"a,b\n\xe9,1\n", "csv", "encoding"),
        ("x.csv", b"a,a\n1,2\n", "csv", "column a is there twice"),
        ("x.json", b"a,b\n", "json", "wrong format"),
        ("x.json", b'[{"a": 1}]', "json", "multi_line = true"),
        ("x.json", b'[{"a": 1},\n {"a": 2}]', "json", "multi_line = true"),
        ("x.parquet", b"a,b\n", "parquet", "wrong format"),
        ("x.txt.parquet", b"PAR1....PAR1", "csv", "wrong format"),
    ],
)
def test_file_that_does_not_fit_is_one_clear_line(
    spark: SparkSession, tmp_path: Path, name: str, content: bytes, kind: str, expected: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=expected) as caught:
        raw_records(spark, tmp_path / name, form(kind))
    assert "\n" not in str(caught.value)


def test_records_of_json_that_span_lines_are_read_with_the_columns_asked_for(
    spark: SparkSession, tmp_path: Path
) -> None:
    path = tmp_path / "x.json"
    path.write_text('[{"a": 1, "b": 0},\n {"a": "t",\n "a": "u", "A": 2}]', encoding="utf-8")
    rows = raw_records(spark, path, form("json", multi_line=True), json_schema=json_columns(["a"])).collect()
    assert [(row["a"], row["source_offset"]) for row in rows] == [("1", 0), ("u", 1)]


def test_files_of_a_folder_must_share_their_columns(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    (tmp_path / "2.csv").write_text("b,a\n1,2\n", encoding="utf-8")
    with pytest.raises(InputError, match="header differs"):
        raw_records(spark, tmp_path, form("csv"))


def test_folder_without_data_says_what_it_looks_for(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no data"):
        raw_records(spark, tmp_path, form("csv"))
