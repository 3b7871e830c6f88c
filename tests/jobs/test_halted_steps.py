"""What stops a step: before it writes anything, or between two of its tables so that the next run mends it."""

import dataclasses
import errno
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable, Field
from deltalake.schema import PrimitiveType
from pyspark.sql import SparkSession

from freshet.contracts import EVENTS, ITEMS_HISTORY, QUALITY_METRICS, QUARANTINE, TableContract
from freshet.core.errors import ContractError, InputError
from freshet.core.records import read_record
from freshet.runs.home import Home
from freshet.runs.job import Job
from freshet.runs.runner import DONE, run_step
from freshet.runs.settings import load_settings
from freshet.runs.step import Step
from freshet.runs.steps import BUILD, INGEST
from freshet.tables.warehouse import Warehouse
from tests.factories import event, events_frame
from tests.jobs.small_shop import OVERRIDES, write_shop

pytestmark = [pytest.mark.jobs, pytest.mark.delta]

NOW = datetime(2026, 1, 1)


def job_in(spark: SparkSession, folder: Path) -> Job:
    mapping, data = write_shop(folder)
    home = Home(folder / "home").prepare()
    return Job(spark, home, load_settings("test", OVERRIDES), source=mapping, input_path=data)


def with_other_columns(job: Job, contract: TableContract, *names: str) -> None:
    """The table as somebody has changed it by hand."""
    job.warehouse.create(contract)
    fields = [Field(name, PrimitiveType("string")) for name in names]
    DeltaTable(job.warehouse.path(contract)).alter.add_columns(fields)


def rows_of(job: Job, step: Step) -> dict[str, list[str]]:
    """By table of the step, its rows in an order of their own."""
    return {
        table.name: sorted(str(row.asDict()) for row in job.warehouse.read(table).collect()) for table in step.writes
    }


def test_a_table_changed_by_hand_stops_a_step_before_its_first_write(spark: SparkSession, tmp_path: Path) -> None:
    job = job_in(spark, tmp_path)
    job.warehouse.create(EVENTS)
    before = job.warehouse.version(EVENTS)
    with_other_columns(job, ITEMS_HISTORY, "mood")
    with_other_columns(job, QUALITY_METRICS, "note", "who")
    with pytest.raises(ContractError) as caught:
        run_step(INGEST, job)
    assert caught.value.line() == (
        "3 problems: (1) table items_history: column mood is not in the contract; "
        "(2) table quality_metrics: column note is not in the contract; "
        "(3) table quality_metrics: column who is not in the contract. "
        "Nothing was written. `freshet tables NAME` shows the columns that a table must have"
    )
    assert (job.warehouse.version(EVENTS), job.warehouse.exists(QUARANTINE)) == (before, False)
    assert read_record(job.home.steps, "ingest") is None


def test_the_given_as_of_must_be_within_all_events_that_will_be_stored(spark: SparkSession, tmp_path: Path) -> None:
    job = job_in(spark, tmp_path)
    job.warehouse.append(events_frame(spark, [event(at="2026-06-01", source="another")]), EVENTS)
    before, outside = job.warehouse.version(EVENTS), datetime(2026, 8, 1)
    job.as_of = outside
    with pytest.raises(InputError, match=r"as_of is outside the data.*Nothing was written: give another --as-of"):
        run_step(INGEST, job)
    assert (job.warehouse.version(EVENTS), job.warehouse.exists(QUARANTINE)) == (before, False)
    # Later than all events of the shop, and earlier than that of the other source.
    job.as_of = datetime(2026, 5, 1)
    assert run_step(INGEST, job).status == DONE
    job.as_of = outside
    with pytest.raises(InputError, match=r"as_of is outside the data.*The events are ingested: give another --as-of"):
        run_step(BUILD, job)


def test_a_disk_that_is_full_at_the_second_table_leaves_what_the_next_run_mends(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Job, "now", staticmethod(lambda: NOW))
    job = job_in(spark, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(Warehouse, "replace", _full_at_the_second(Warehouse.replace))
        with pytest.raises(OSError, match="No space left"):
            run_step(INGEST, job)
    assert [job.warehouse.exists(table) for table in (EVENTS, QUARANTINE)] == [True, False]
    assert read_record(job.home.steps, "ingest") is None
    assert run_step(INGEST, job).status == DONE
    undisturbed = dataclasses.replace(job, home=Home(tmp_path / "undisturbed").prepare())
    assert run_step(INGEST, undisturbed).status == DONE
    assert rows_of(job, INGEST) == rows_of(undisturbed, INGEST)
    assert job.warehouse.read(EVENTS).count() > 0


def _full_at_the_second(write: Callable[..., None]) -> Callable[..., None]:
    written = []

    def until_full(warehouse: Warehouse, df: Any, contract: TableContract, **options: Any) -> None:
        if written:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(warehouse, df, contract, **options)
        written.append(contract.name)

    return until_full
