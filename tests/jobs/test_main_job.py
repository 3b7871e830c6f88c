"""The main job on a small designed shop: every step, a second run that changes nothing, readers without Spark."""

import re
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from freshet.settings import load_settings
from freshet.steps.job import DONE, NOT_BUILT, UP_TO_DATE, Job, StepResult, run_step
from freshet.steps.main_job import MAIN_STEPS
from freshet.storage.home import Home
from tests.jobs.small_shop import OVERRIDES, SHOPPERS, shop_rows, write_shop

REPO = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def finished(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> tuple[Job, list[StepResult]]:
    folder = tmp_path_factory.mktemp("shop")
    mapping, data = write_shop(folder)
    settings = load_settings("test", OVERRIDES)
    job = Job(spark, Home(folder / "home").prepare(), settings, source=mapping, input_path=data)
    return job, [run_step(step, job) for step in MAIN_STEPS]


def test_every_step_ends_with_tables_or_a_reason(finished: tuple[Job, list[StepResult]]) -> None:
    for result in finished[1]:
        assert result.status == DONE or result.record["not_built"], result.step
    assert [result.step for result in finished[1] if result.status == NOT_BUILT] == []


def test_intake_adds_up(finished: tuple[Job, list[StepResult]]) -> None:
    record = finished[1][0].record
    assert record["raw_rows"] == len(shop_rows()) - 1
    assert record["accepted"] + sum(record["refused"].values()) == record["raw_rows"]


def test_lists_are_of_the_shoppers_own_half(finished: tuple[Job, list[StepResult]]) -> None:
    from deltalake import DeltaTable

    rows = DeltaTable(str(finished[0].home.warehouse / "recommendations")).to_pyarrow_table().to_pylist()
    assert len(rows) == SHOPPERS
    for row in rows:
        half = range(0, 15) if int(row["user_id"][1:]) % 2 else range(15, 30)
        own = [int(item["item_id"][1:]) in half for item in row["items"][:5]]
        assert sum(own) >= 4, row
        assert [item["position"] for item in row["items"]] == list(range(1, len(row["items"]) + 1))


def test_second_run_is_up_to_date_and_makes_no_commit(finished: tuple[Job, list[StepResult]]) -> None:
    job, _ = finished
    before = {path.name: _newest_commit(path) for path in job.home.warehouse.iterdir()}
    again = [run_step(step, job) for step in MAIN_STEPS]
    assert [result.status for result in again] == [UP_TO_DATE] * len(MAIN_STEPS)
    assert {path.name: _newest_commit(path) for path in job.home.warehouse.iterdir()} == before


def test_readme_lines_read_the_lists_without_spark(
    finished: tuple[Job, list[StepResult]], capsys: pytest.CaptureFixture[str]
) -> None:
    text = (REPO / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.S)
    assert len(blocks) == 3
    for block in blocks:
        exec(block.replace(".freshet", str(finished[0].home.root)), {})
        assert "c0" in capsys.readouterr().out


def _newest_commit(table: Path) -> str:
    return max(path.name for path in (table / "_delta_log").glob("*.json"))
