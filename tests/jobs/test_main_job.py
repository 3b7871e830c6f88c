"""The main job on a small designed shop: every step, a second run that changes nothing, readers without Spark, and
the same on a real standalone cluster: the first step as a job of its own, then all, never killed."""

import json
import os
import re
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
from click.testing import CliRunner
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from freshet.cli.errors import UNEXPECTED
from freshet.cli.show import show
from freshet.contracts import TABLES
from freshet.session import local_classes
from freshet.settings import load_settings
from freshet.steps.job import DONE, NOT_BUILT, UP_TO_DATE, Job, StepResult, run_step
from freshet.steps.main_job import MAIN_STEPS
from freshet.steps.side_by_side import run_steps
from freshet.storage.home import Home
from freshet.storage.lease import leases
from freshet.storage.tables import Warehouse
from tests.conftest import QUICK_JAVA
from tests.jobs.small_shop import OVERRIDES, SHOPPERS, shop_rows, write_shop

REPO = Path(__file__).parents[2]
WITH_SEVERAL_TABLES = ("ingest", "build", "recommend")
COMPARED = (
    "events", "quality_metrics", "items_history", "interactions", "user_features", "item_features",
    "recommendations", "recommendation_updates", "stream_metrics", "similar_items", "popular_items",
    "user_segments", "segment_profiles",
)  # fmt: skip
"""What the main job writes, but for factors, whose last digits follow from how rows are spread. Everybody buys in every
month of this shop, so the gate refuses the probability model and there are no scores."""

OF_THE_HOME = {"generated_at", "finished_at", "seconds", "checked_at", "first_seen", "run_id", "query_id"}
"""Wall times, and what follows from versions of tables, of which a killed run has more."""

QUICK = f"{QUICK_JAVA} -XX:+UseSerialGC"
"""Jobs on a few rows spend their time in compiling."""


class KilledError(Exception):
    """Stands for the end of the process."""


@pytest.fixture(scope="module")
def finished(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> tuple[Job, list[StepResult]]:
    """A local run that was killed once in every step and started again."""
    folder = tmp_path_factory.mktemp("shop")
    mapping, data = write_shop(folder)
    settings = load_settings("test", OVERRIDES)
    job = Job(spark, Home(folder / "home").prepare(), settings, source=mapping, input_path=data)
    results = []
    for step in MAIN_STEPS:
        with pytest.MonkeyPatch.context() as patch:
            if step.name in WITH_SEVERAL_TABLES:
                patch.setattr(Warehouse, "replace", _killed_after(Warehouse.replace))
            else:
                patch.setattr("freshet.steps.job.write_record", _killed)
            with pytest.raises(KilledError):
                run_step(step, job)
        results.append(run_step(step, job))
    return job, results


def _killed(*_: Any) -> None:
    raise KilledError


def _killed_after(write: Callable[..., None]) -> Callable[..., None]:
    def once(*arguments: Any, **options: Any) -> None:
        write(*arguments, **options)
        raise KilledError

    return once


def test_every_step_ends_with_tables_or_a_reason(finished: tuple[Job, list[StepResult]]) -> None:
    for result in finished[1]:
        assert result.status == DONE or result.record["not_built"], result.step
    assert [result.step for result in finished[1] if result.status == NOT_BUILT] == []


def test_intake_adds_up(finished: tuple[Job, list[StepResult]]) -> None:
    record = finished[1][0].record
    assert record["raw_rows"] == len(shop_rows()) - 1
    assert record["accepted"] + sum(record["refused"].values()) == record["raw_rows"]


def test_lists_are_of_the_shoppers_own_half(finished: tuple[Job, list[StepResult]]) -> None:
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
    again = run_steps(job, MAIN_STEPS, MagicMock())
    assert [result.status for result in again] == [UP_TO_DATE] * len(MAIN_STEPS)
    assert {path.name: _newest_commit(path) for path in job.home.warehouse.iterdir()} == before


def test_a_step_with_nothing_to_do_runs_beside_whoever_writes_its_tables(
    finished: tuple[Job, list[StepResult]],
) -> None:
    job, _ = finished
    with leases(job.home.locks, "ingest", []):
        assert run_step(MAIN_STEPS[0], job).status == UP_TO_DATE


def test_show_tells_the_newest_list_with_its_reasons(finished: tuple[Job, list[StepResult]]) -> None:
    words = ["c0", "--home", str(finished[0].home.root)]
    told = CliRunner().invoke(show, [*words, "--json"])
    assert told.exit_code == 0, told.output
    known = json.loads(told.output)
    rows = DeltaTable(str(finished[0].home.warehouse / "recommendation_updates")).to_pyarrow_table().to_pylist()
    newest = max((row for row in rows if row["user_id"] == "c0"), key=lambda row: row["event_clock"])
    assert [item["item_id"] for item in known["now"]["items"]] == [item["item_id"] for item in newest["items"]]
    assert known["before"]["source"] == "batch"
    shown = CliRunner().invoke(show, words).output
    assert "Shopper c0" in shown
    told_reasons = [item["reason"].partition(":") for item in newest["items"][:10]]
    assert any(kind == "similar_to" for kind, _, _ in told_reasons)
    assert all(f"goes with {origin}" in shown for kind, _, origin in told_reasons if kind == "similar_to")
    assert all(item["item_id"] in shown for item in newest["items"][:10])


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


@pytest.fixture(scope="module")
def master() -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "FRESHET_CLUSTER_PORT": str(port), "FRESHET_CLUSTER_SECONDS": "900"}
    started = subprocess.run(
        [REPO / "scripts/cluster.sh", "start"], env=environment, capture_output=True, text=True, check=False
    )
    assert started.returncode == 0, started.stderr
    yield started.stdout.strip()
    subprocess.run([REPO / "scripts/cluster.sh", "stop"], check=True)


def quick_start() -> list[str]:
    """Options of spark-submit by which driver and executors, on this machine, load classes as local sessions do."""
    driver = local_classes(REPO / ".jars", QUICK)
    executor = {name.replace(".driver.", ".executor."): value for name, value in driver.items()}
    return [part for name, value in (driver | executor).items() for part in ("--conf", f"{name}={value}")]


def submitted(master: str, job: str, *arguments: str) -> str:
    """What the job told."""
    done = subprocess.run(
        [REPO / "scripts/submit.sh", job, "--master", master, *quick_start(), *arguments],
        capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    log = re.search(r"the details are in (.*)", done.stderr) if done.returncode == UNEXPECTED else None
    trace = Path(log.group(1)).read_text(encoding="utf-8") if log is not None else ""
    assert done.returncode == 0, done.stdout + done.stderr + trace
    return done.stdout


@pytest.mark.cluster
def test_the_main_job_on_a_cluster_gives_the_tables_of_the_killed_local_run(
    finished: tuple[Job, list[StepResult]], master: str, tmp_path: Path
) -> None:
    near, far = finished[0].home.root, tmp_path / "far"
    mapping, data = write_shop(tmp_path)
    options = ["--home", str(far), "--env", "test", *[part for one in OVERRIDES for part in ("--set", one)]]
    subprocess.run([REPO / "scripts/package.sh"], check=True, capture_output=True)
    options += ["--source", str(mapping), "--input", str(data)]
    submitted(master, "ingest", *options)
    told = submitted(master, "main_job", *options)
    assert re.search(r"Take in raw records +up to date", told), told
    for name in COMPARED:
        ours, theirs = _comparable(far, name), _comparable(near, name)
        assert len(ours) == len(theirs) > 0, name
        for left, right in zip(ours, theirs, strict=True):
            # Sums in another order may differ in their last digits.
            assert left == pytest.approx(right, abs=1e-3), name


def _comparable(home: Path, name: str) -> list[dict[str, Any]]:
    """The rows in order of their key, flat, without what tells of the home or the hour."""
    rows = DeltaTable(str(home / "warehouse" / name)).to_pyarrow_table().to_pylist()
    key = [column for column in TABLES[name].key if column not in OF_THE_HOME]
    return [_flat("", row) for row in sorted(rows, key=lambda row: [str(row[column]) for column in key])]


def _flat(place: str, value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        parts = [(key, part) for key, part in value.items() if key not in OF_THE_HOME]
    elif isinstance(value, list):
        parts = list(enumerate(value))
    else:
        return {place: value if isinstance(value, float) else str(value)}
    return {inner: leaf for key, part in parts for inner, leaf in _flat(f"{place}/{key}", part).items()}
