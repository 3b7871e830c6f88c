"""A table with its job, added as the recipe in .github/CONTRIBUTING.md says: a contract, a step, a registration."""

import json
import re
import runpy
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from deltalake import DeltaTable
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import LongType, StringType

from freshet.cli import opening, submitted
from freshet.cli.main import freshet
from freshet.cli.schedule import scheduled_jobs, submit_line
from freshet.contracts import EVENTS, Column, TableContract, features
from freshet.core.errors import InputError
from freshet.runs import steps
from freshet.runs.home import Home
from freshet.runs.job import Job
from freshet.runs.registry import main_steps, register, unregister
from freshet.runs.step import AFTER, Schedule, Step, no_inputs
from freshet.runs.steps import BUILD, TINY
from freshet.tables.warehouse import Warehouse
from tests.conftest import REPOSITORY
from tests.factories import event, events_frame

pytestmark = [pytest.mark.jobs, pytest.mark.delta]

ITEM_TOTALS = TableContract(
    name="item_totals",
    row="an item",
    columns=(
        Column("item_id", StringType(), "the item", required=True),
        Column("events", LongType(), "events with this item", "events", required=True, minimum=1),
    ),
    key=("item_id",),
)


def work(job: Job, fingerprint: str) -> dict[str, Any]:
    """Writes the table; keeps the number of items."""
    events = job.warehouse.read(EVENTS).where("item_id is not null")
    totals = events.groupBy("item_id").agg(F.count(F.lit(1)).alias("events"))
    job.warehouse.replace(totals, ITEM_TOTALS, keys_are_unique=True)
    return {"items": job.warehouse.read(ITEM_TOTALS).count()}


COUNT_ITEMS = Step(
    name="count-items",
    title="Count the events of items",
    help="Count the events of each item.",
    after=(BUILD.name,),
    reads=(EVENTS,),
    writes=(ITEM_TOTALS,),
    sections=(),
    inputs=no_inputs,
    work=work,
    summary="{items} items have events",
    schedule=Schedule(AFTER, TINY),
)


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    """The step is registered as long as the test lasts."""
    register(COUNT_ITEMS)
    yield
    unregister(COUNT_ITEMS)


@pytest.fixture
def shop(spark: SparkSession, home: Home, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home with three events; commands and job scripts work in the session of the tests, which they leave open."""
    rows = [event(item="i1"), event(item="i1", order="o2"), event(item="i2", order="o3")]
    warehouse.append(events_frame(spark, rows), EVENTS)
    monkeypatch.setattr(opening, "local_session", lambda *_, **__: spark)
    monkeypatch.setattr(submitted, "spark_session", lambda *_, **__: spark)
    monkeypatch.setattr(Job, "close", lambda job: None)
    return home


def run_cli(*words: str) -> Result:
    done = CliRunner().invoke(freshet, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done


def test_it_is_a_command_that_writes_the_table_once(shop: Home, warehouse: Warehouse) -> None:
    options = ["--home", str(shop.root), "--env", "test", "--json"]
    first, second = (json.loads(run_cli("count-items", *options).stdout)["count-items"] for _ in range(2))
    assert (first["status"], second["status"]) == ("done", "up to date")
    assert first["read"]["tables"] == ["events", "item_totals"]
    table = DeltaTable(str(shop.warehouse / "item_totals"))
    rows = warehouse.read(ITEM_TOTALS).orderBy("item_id").collect()
    assert [tuple(row) for row in rows] == [("i1", 2), ("i2", 1)]
    assert {field.name: field.metadata["comment"] for field in table.schema().fields} == {
        "item_id": "the item", "events": "events with this item [events]",
    }  # fmt: skip


def test_it_is_a_job_of_spark_submit(
    shop: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["jobs/step.py", "count-items", "--home", str(shop.root), "--env", "test"]
    for ending in ("done", "up to date"):
        monkeypatch.setattr("sys.argv", list(words))
        runpy.run_path(str(REPOSITORY / "jobs/step.py"))["main"]()
        assert f"Count the events of items          {ending}" in capsys.readouterr().out


def test_help_status_and_tables_know_it(shop: Home) -> None:
    assert "count-items  Count the events of each item." in run_cli("--help").output
    assert "freshet count-items --home .freshet" in run_cli("count-items", "--help").output
    assert "events with this item" in run_cli("tables", "item_totals").output
    before = json.loads(run_cli("status", "--home", str(shop.root), "--json").stdout)
    assert (before["steps"]["count-items"], before["tables"]["item_totals"]) == (None, None)
    done = run_cli("count-items", "--home", str(shop.root), "--env", "test")
    assert "2 items have events" in done.output
    after = json.loads(run_cli("status", "--home", str(shop.root), "--json").stdout)
    assert after["tables"]["item_totals"]["rows"] == 2
    assert after["steps"]["count-items"]["items"] == 2
    assert "Count the events of items" in run_cli("status", "--home", str(shop.root)).output


def test_the_main_job_runs_it_after_what_it_needs_and_before_the_report() -> None:
    steps = main_steps()
    names = [step.name for step in steps]
    assert names.index("build") < names.index("count-items") < names.index("report")
    assert "count-items" in steps[-1].after


def test_it_is_scheduled_with_its_resources() -> None:
    job = scheduled_jobs()["count-items"]
    assert (job["schedule"], job["after"]) == ("after", ["build"])
    assert " ".join(submit_line("count-items", job)) == (
        "scripts/submit.sh count-items --master yarn --conf spark.driver.memory=1g --conf spark.executor.instances=1 "
        "--conf spark.executor.cores=1 --conf spark.executor.memory=2g --home HOME"
    )
    assert scheduled_jobs()["report"]["after"] == ["count-items", "recommend"]
    assert "count-items" in run_cli("jobs", "--json").output


def test_a_name_is_registered_once() -> None:
    with pytest.raises(InputError, match="there already is a step of this name"):
        register(COUNT_ITEMS)


def test_the_recipe_names_what_there_is() -> None:
    recipe = (Path(REPOSITORY) / ".github/CONTRIBUTING.md").read_text(encoding="utf-8")
    part = recipe.partition("## Add a table with its job")[2].partition("\n## ")[0]
    for place in ("lib/freshet/contracts", "lib/freshet/runs/steps.py", "tests/jobs/test_new_step.py"):
        assert place in part
        assert (Path(REPOSITORY) / place).exists()


def test_the_code_of_the_recipe_runs() -> None:
    recipe = (REPOSITORY / ".github/CONTRIBUTING.md").read_text(encoding="utf-8")
    part = recipe.partition("## Add a table with its job")[2].partition("\n## ")[0]
    blocks = [textwrap.dedent(block) for block in re.findall(r"```python\n(.*?)```", part, re.DOTALL)]
    contract, _, step = blocks
    names: dict[str, Any] = {**vars(features)}
    exec(contract, names)
    assert names["ITEM_TOTALS"].column_names == ITEM_TOTALS.column_names
    names = {**vars(steps), "ITEM_TOTALS": ITEM_TOTALS, "no_inputs": no_inputs}
    exec(step, names)
    assert names["COUNT_ITEMS"].work.__qualname__ == "freshet.pipeline.item_totals:work"
