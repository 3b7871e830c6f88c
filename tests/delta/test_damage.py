"""Tables whose files were emptied, cut or removed are refused in one line, before anybody goes on with them."""

import threading
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from pyspark.sql import SparkSession

from freshet.contracts import EVENTS, STREAM_METRICS
from freshet.core.errors import StateError
from freshet.runs.home import Home
from freshet.runs.job import Job
from freshet.runs.runner import DONE, UP_TO_DATE, run_step
from freshet.runs.settings import load_settings
from freshet.runs.step import Step
from freshet.service.serving import serve
from freshet.tables.damage import Damage, table_damage
from freshet.tables.small_writes import append_row
from freshet.tables.warehouse import Warehouse
from tests.delta.test_hygiene import with_metrics
from tests.delta.test_small_writes import figures
from tests.streaming.service import feed_of, served_job

pytestmark = pytest.mark.delta


def entry(table: Path, version: int) -> Path:
    return table / "_delta_log" / f"{version:020}.json"


def data_file(table: Path) -> Path:
    return sorted(table.glob("*.parquet"))[0]


def emptied(file: Path) -> Path:
    file.write_bytes(b"")
    return file


def cut(file: Path) -> Path:
    file.write_bytes(file.read_bytes()[:-20])
    return file


def removed(file: Path) -> Path:
    file.unlink()
    return file


DAMAGES: dict[str, tuple[Callable[[Path], Path], str]] = {
    "newest entry emptied": (lambda table: emptied(entry(table, 3)), "log entry is empty"),
    "older entry emptied": (lambda table: emptied(entry(table, 1)), "log entry is empty"),
    "first entry emptied": (lambda table: emptied(entry(table, 0)), "log entry is empty"),
    "entry cut": (lambda table: cut(entry(table, 3)).parent, "log cannot be read"),
    "entry missing": (lambda table: removed(entry(table, 2)).parent, "log cannot be read"),
    "data file missing": (lambda table: removed(data_file(table)), "data file is missing"),
    "data file emptied": (lambda table: emptied(data_file(table)), "data file has 0 bytes"),
    "data file cut": (lambda table: cut(data_file(table)), "by the log"),
}


def noted() -> Step:
    """A step that writes three rows of figures, once."""

    def work(job: Job, fingerprint: str) -> dict[str, object]:
        job.warehouse.create(STREAM_METRICS)
        for number in range(3):
            append_row(job.warehouse, figures(number), STREAM_METRICS)
        return {}

    return Step("items", (), (STREAM_METRICS,), (EVENTS,), (), lambda job: {}, work)


def warehouse_of(home: Home) -> Warehouse:
    """For work without Spark."""
    return Warehouse(None, home.warehouse)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_step_with_a_damaged_table_is_not_up_to_date(home: Home, kind: str) -> None:
    job = Job(None, home, load_settings("test"))  # type: ignore[arg-type]
    assert [run_step(noted(), job).status for _ in range(2)] == [DONE, UP_TO_DATE]
    damage, what = DAMAGES[kind]
    table = home.warehouse / STREAM_METRICS.name
    file = damage(table)
    with pytest.raises(StateError) as caught:
        run_step(noted(), job)
    assert caught.value.where == str(file)
    assert what in caught.value.what
    assert caught.value.do == f"Restore {table} from a copy, or remove this folder and run `freshet items` again"


def test_a_step_is_not_run_on_a_damaged_input(home: Home) -> None:
    warehouse_of(home).create(EVENTS)
    emptied(entry(home.warehouse / EVENTS.name, 0))
    with pytest.raises(StateError, match=r"table events is damaged.*only a stream ingested are lost"):
        run_step(noted(), Job(None, home, load_settings("test")))  # type: ignore[arg-type]


def test_what_is_no_longer_read_may_be_gone(home: Home) -> None:
    """Replaced files go with a vacuum, entries behind a checkpoint with the log's retention."""
    with_metrics(warehouse_of(home), 3)
    table = home.warehouse / STREAM_METRICS.name
    DeltaTable(table).optimize.compact()
    DeltaTable(table).create_checkpoint()
    DeltaTable(table).vacuum(0, dry_run=False, enforce_retention_duration=False)
    for version in range(3):
        removed(entry(table, version))
    assert table_damage(table) is None


def test_a_damaged_checkpoint_is_reported(home: Home) -> None:
    with_metrics(warehouse_of(home), 3)
    table = home.warehouse / STREAM_METRICS.name
    DeltaTable(table).create_checkpoint()
    cut(next((table / "_delta_log").glob("*.checkpoint.parquet")))
    found = table_damage(table)
    assert isinstance(found, Damage)
    assert "log cannot be read" in found.what


def test_files_of_a_partition_with_an_escaped_name_are_found(home: Home) -> None:
    table = home.warehouse / "partitioned"
    write_deltalake(table, pa.table({"part": ["a b", "ä%c", None], "n": [1, 2, 3]}), partition_by=["part"])
    assert table_damage(table) is None


def test_a_stream_does_not_begin_on_a_damaged_table(spark: SparkSession, tmp_path: Path) -> None:
    job = served_job(spark, tmp_path / "home")
    emptied(entry(job.home.warehouse / EVENTS.name, 0))
    with pytest.raises(StateError, match="table events is damaged: this log entry is empty"):
        serve(job, feed_of(tmp_path / "in"), ("events",), stop=threading.Event(), notify=lambda text: None)
