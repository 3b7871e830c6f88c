"""The whole ingest by the shipped mappings: arithmetic, reasons, repeats of runs, and bad input."""

import shutil
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from freshet.cleaning.parameters import CleaningParameters
from freshet.contracts import EVENTS, ITEMS_HISTORY, QUALITY_METRICS, QUARANTINE, TableContract
from freshet.core.errors import FreshetError, InputError, MappingError
from freshet.pipeline.ingestion.ingest import ingest
from freshet.pipeline.ingestion.ingest_report import IngestReport
from freshet.runs.home import Home
from freshet.tables.warehouse import Warehouse

pytestmark = pytest.mark.delta

REPOSITORY = Path(__file__).parents[2]
FIXTURES = REPOSITORY / "tests" / "fixtures" / "sources"
NOW = datetime(2026, 1, 1)
PARAMS = CleaningParameters(**tomllib.loads((REPOSITORY / "conf/base.toml").read_text(encoding="utf-8"))["cleaning"])

REFUSED = {
    "online_retail_ii": {
        "duplicate": 3, "zero_price": 2, "negative_price": 1, "missing_price": 1, "bad_time": 1, "missing_time": 1,
        "future_time": 1, "missing_item": 1, "missing_shopper": 1, "zero_quantity": 1,
    },
    "tmall_2014": {
        "unknown_event": 2, "bad_time": 1, "missing_time": 1, "missing_shopper": 1, "missing_item": 1,
    },
    "taobao_userbehavior_2h": {
        "unknown_event": 1, "implausible_time": 1, "bad_time": 1, "missing_time": 1, "missing_item": 1,
        "missing_shopper": 1,
    },
    "eshop_clothing_2008": {
        "duplicate": 1, "bad_time": 1, "missing_time": 1, "negative_price": 1, "missing_shopper": 1, "missing_item": 1,
    },
    "ml_1m": {"duplicate": 1, "implausible_time": 1, "missing_item": 1, "missing_shopper": 1},
    "cdnow": {
        "duplicate": 1, "bad_time": 1, "missing_time": 1, "zero_quantity": 1, "negative_quantity": 1,
        "negative_price": 1, "missing_shopper": 1,
    },
}  # fmt: skip
"""What the traps of tests/fixtures/make_fixtures.py must end as."""


def fixture_of(name: str) -> Path:
    """The folder or the file, whose suffix is the format."""
    return next(path for path in FIXTURES.iterdir() if path.stem == name)


def raw_records(name: str) -> int:
    """How many records the fixture has."""
    path = fixture_of(name) / "ratings.parquet" if name == "ml_1m" else fixture_of(name)
    if path.suffix == ".parquet":
        return int(pq.read_metadata(path).num_rows)
    options = tomllib.loads(mapping_of(name).read_text(encoding="utf-8")).get("options", {})
    lines = path.read_bytes().count(b"\n")
    return lines - (path.suffix == ".csv" and "column_names" not in options)


def mapping_of(name: str) -> Path:
    return REPOSITORY / "conf" / "sources" / f"{name}.toml"


def ingested(spark: SparkSession, home: Home, name: str, path: Path | None = None) -> IngestReport:
    return ingest(spark, home, source=mapping_of(name), input_path=path or fixture_of(name), params=PARAMS, now=NOW)


def rows_of(warehouse: Warehouse, contract: TableContract) -> list[str]:
    return sorted(str(row.asDict()) for row in warehouse.read(contract).collect())


@dataclass(frozen=True)
class Taken:
    """A fixture taken in once, for the tests that only look at it."""

    home: Home
    report: IngestReport
    warehouse: Warehouse


@pytest.fixture(scope="module")
def taken(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Taken]:
    @cache
    def once(name: str) -> Taken:
        home = Home(tmp_path_factory.mktemp(name) / "home").prepare()
        return Taken(home, ingested(spark, home, name), Warehouse(spark, home.warehouse))

    return once


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_every_fixture_record_ends_in_events_or_in_quarantine_with_its_reason(
    taken: Callable[[str], Taken], name: str
) -> None:
    report = taken(name).report
    assert report.raw_rows == raw_records(name)
    assert report.raw_rows == report.accepted + sum(report.refused.values())
    assert report.refused == REFUSED[name]
    assert sum(report.by_event_name.values()) == report.accepted


def test_retail_refunds_are_positive_and_odd_codes_flagged(taken: Callable[[str], Taken]) -> None:
    report, warehouse = taken("online_retail_ii").report, taken("online_retail_ii").warehouse
    assert report.by_event_name["refund"] == 2
    assert report.flags["non_product"] == 2
    events = warehouse.read(EVENTS)
    assert events.where("quantity <= 0").isEmpty()
    assert events.where("user_id like '%.0' or item_id != upper(item_id)").isEmpty()
    assert events.where("user_id is null and anonymous_id not like 'invoice-%'").isEmpty()
    assert warehouse.read(ITEMS_HISTORY).where("item_id in ('POST', 'M')").isEmpty()


def test_quarantine_keeps_the_whole_record_and_quotes_what_is_wrong(taken: Callable[[str], Taken]) -> None:
    row = taken("online_retail_ii").warehouse.read(QUARANTINE).where("reason_code = 'bad_time'").collect()[0]
    assert '"InvoiceDate":"31/31/2010 9:00"' in row["raw"]
    assert '"Description"' in row["raw"]
    assert "31/31/2010 9:00" in row["message"]
    assert (row["field"], row["first_seen"], row["status"]) == ("event_time", NOW, "refused")


def test_catalogue_gives_names_also_to_items_without_events(taken: Callable[[str], Taken]) -> None:
    assert taken("ml_1m").report.items == 42
    items = {row["item_id"]: row for row in taken("ml_1m").warehouse.read(ITEMS_HISTORY).collect()}
    assert items["41"]["name"] == "Invented Film 41 (1990)"
    assert items["2"]["category_path"] == "Action > Adventure > Western"


def test_missing_catalogue_is_a_note(spark: SparkSession, home: Home, tmp_path: Path) -> None:
    alone = tmp_path / "ratings.parquet"
    alone.write_bytes((FIXTURES / "ml_1m" / "ratings.parquet").read_bytes())
    assert any(
        "movies.parquet is not next to the input" in note for note in ingested(spark, home, "ml_1m", alone).notes
    )


def test_second_run_and_run_after_a_kill_leave_the_same_tables(
    spark: SparkSession, home: Home, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    class KilledError(Exception):
        pass

    replace = Warehouse.replace

    def killed(self: Warehouse, df: object, contract: TableContract, **other: Any) -> None:
        if contract is QUARANTINE:
            raise KilledError
        replace(self, df, contract, **other)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(Warehouse, "replace", killed)
        with pytest.raises(KilledError):
            ingested(spark, home, "eshop_clothing_2008")
    ingested(spark, home, "eshop_clothing_2008")
    tables = (EVENTS, QUARANTINE, ITEMS_HISTORY, QUALITY_METRICS)
    before = {table.name: rows_of(warehouse, table) for table in tables}
    report = ingested(spark, home, "eshop_clothing_2008")
    assert {table.name: rows_of(warehouse, table) for table in tables} == before
    assert report.replaced == report.raw_rows


def test_same_file_under_another_name_is_resent(
    spark: SparkSession, taken: Callable[[str], Taken], tmp_path: Path
) -> None:
    first, home = taken("cdnow").report, Home(tmp_path / "home")
    shutil.copytree(taken("cdnow").home.root, home.root)
    copy = tmp_path / "again.parquet"
    table = pq.read_table(fixture_of("cdnow"))
    more = table.slice(0, 1).set_column(0, table.schema.field(0), pa.array(["99999"]))
    pq.write_table(pa.concat_tables([table, more]), copy)
    second = ingested(spark, home, "cdnow", copy)
    assert second.accepted == 1
    assert second.refused["resent"] == first.accepted


@pytest.mark.parametrize(
    ("content", "error", "expected"),
    [
        (None, InputError, "no such file or folder"),
        (b"", InputError, "the file is empty"),
        (b"customer_id,date\n1,19970101\n", InputError, "wrong format"),
        (b"PAR1 broken PAR1", InputError, "not a readable Parquet file"),
    ],
)
def test_unfit_input_is_one_line_and_nothing_is_written(
    spark: SparkSession, home: Home, tmp_path: Path, content: bytes | None, error: type[FreshetError], expected: str
) -> None:
    path = tmp_path / "cdnow.parquet"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(error, match=expected) as caught:
        ingested(spark, home, "cdnow", path)
    assert "\n" not in str(caught.value)
    assert list(home.warehouse.iterdir()) == []


def test_mapping_for_other_columns_names_what_is_missing(spark: SparkSession, home: Home) -> None:
    with pytest.raises(MappingError, match=r"customer_id, which is not there.*found columns user_id, brand_id"):
        ingested(spark, home, "cdnow", fixture_of("tmall_2014"))
    assert list(home.warehouse.iterdir()) == []


def test_whole_real_set_adds_up(spark: SparkSession, home: Home, real_data: Callable[[str], Path]) -> None:
    report = ingested(spark, home, "tmall_2014", real_data("tmall_2014"))
    assert report.raw_rows == 182_880 == report.accepted + sum(report.refused.values())


@pytest.mark.parametrize(
    "name", ["online_retail_ii", "taobao_userbehavior_2h", "eshop_clothing_2008", "ml_1m", "cdnow"]
)
def test_part_of_real_set_is_accepted(
    spark: SparkSession, home: Home, real_data: Callable[[str], Path], tmp_path: Path, name: str
) -> None:
    folder = real_data(name)
    file = folder / "ratings.parquet" if name == "ml_1m" else next(folder.glob("*.parquet"))
    part = tmp_path / file.name
    pq.write_table(pq.read_table(file).slice(0, 5_000), part)
    assert ingested(spark, home, name, part).accepted > 4_500
