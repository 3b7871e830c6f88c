"""Input that can be read and of which no record can be used: reported in one line, and nothing is written."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake
from pyspark.sql import SparkSession

from freshet.core.errors import FreshetError, InputError, MappingError
from freshet.runs.home import Home
from freshet.runs.job import Job
from freshet.runs.runner import run_step
from freshet.runs.settings import load_settings
from freshet.runs.steps import INGEST

pytestmark = pytest.mark.delta

HEADER, RECORDS = "customer,item,time", ["c1,i1,2025-01-01 09:00", "c2,i2,2025-01-02 09:00"]
MAPPING = """
name = "shop"
format = "csv"
event_name = "purchase"
[columns]
user_id = "customer"
item_id = "item"
[time]
column = "time"
formats = ["yyyy-MM-dd HH:mm"]
"""


@pytest.mark.parametrize(
    ("mapping", "records", "error", "expected"),
    [
        (MAPPING, [], InputError, "there are no records; expected a header and rows of data"),
        (MAPPING.replace("yyyy-MM-dd HH:mm", "dd.MM.yyyy HH:mm"), RECORDS, InputError,
         "none of the 2 records can be accepted; found 2 times bad_time, such as: .*2025-01-0.*nothing was written"),
        (MAPPING.replace("yyyy-MM-dd HH:mm", "yyyy-MM-dd HHHHHHH"), RECORDS, MappingError,
         "a time format, time zone or regular expression cannot be used; found .*DATETIME_PATTERN"),
        # A group with a name, as Python writes it and Java does not.
        (MAPPING.replace('"item"', '{ column = "item", extract = "(?P<number>[0-9]+)" }'), RECORDS, MappingError,
         "a time format, time zone or regular expression cannot be used; found .*PATTERN"),
        (MAPPING + 'zone = "Europe/Newtown"', RECORDS, MappingError, "cannot be used; found .*INVALID_TIMEZONE"),
    ],
    ids=["header only", "another time format", "no time format", "no expression to Java", "no zone to Java"],
)  # fmt: skip
def test_records_that_cannot_be_used_are_one_line_and_nothing_is_written(
    spark: SparkSession,
    home: Home,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mapping: str,
    records: list[str],
    error: type[FreshetError],
    expected: str,
) -> None:
    # The system's list of zones may be newer than Java's.
    monkeypatch.setattr("freshet.sources.rule_parsing._is_zone", lambda name: True)
    source, data = tmp_path / "shop.toml", tmp_path / "orders.csv"
    source.write_text(mapping, encoding="utf-8")
    data.write_text("\n".join([HEADER, *records]) + "\n", encoding="utf-8")
    with pytest.raises(error, match=expected) as caught:
        run_step(INGEST, Job(spark, home, load_settings("test"), source=source, input_path=data))
    assert "\n" not in caught.value.line()
    assert list(home.warehouse.iterdir()) == []
    assert list(home.steps.iterdir()) == []


LISTS = [{"customer": f"c{n}", "item": [n, 2, 1, 1], "time": "2025-01-01 09:00"} for n in range(12)]


@pytest.mark.parametrize("kind", ["parquet", "delta", "json"])
def test_a_list_for_an_id_is_one_line_that_says_what_to_map_instead(
    spark: SparkSession, home: Home, tmp_path: Path, kind: str
) -> None:
    source, data = tmp_path / "shop.toml", tmp_path / f"orders.{kind}"
    source.write_text(MAPPING.replace('"csv"', f'"{kind}"'), encoding="utf-8")
    rows = pa.Table.from_pylist(LISTS)
    if kind == "parquet":
        pq.write_table(rows, data)
    elif kind == "delta":
        write_deltalake(data, rows)
    else:
        data.write_text("\n".join(map(json.dumps, LISTS)), encoding="utf-8")
    with pytest.raises(MappingError, match=r"columns.item_id names column item, a list \(array<\w+>\): make a record"):
        run_step(INGEST, Job(spark, home, load_settings("test"), source=source, input_path=data))
    assert list(home.warehouse.iterdir()) == []


def test_a_misspelt_column_of_json_is_named_where_nothing_can_be_accepted(
    spark: SparkSession, home: Home, tmp_path: Path
) -> None:
    source, data = tmp_path / "shop.toml", tmp_path / "orders.json"
    source.write_text(MAPPING.replace('"csv"', '"json"'), encoding="utf-8")
    data.write_text('{"Customer": "c1", "item": "i1", "time": "2025-01-01 09:00"}\n', encoding="utf-8")
    with pytest.raises(InputError, match=r"1 times missing_shopper, .* customer, .* \(did you mean Customer\?\)"):
        run_step(INGEST, Job(spark, home, load_settings("test"), source=source, input_path=data))
