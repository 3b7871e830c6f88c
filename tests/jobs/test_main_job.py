"""The main job on a small designed shop: every step, a second run that changes nothing, readers without Spark, and
the same chain of jobs on a real standalone cluster."""

import os
import re
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from freshet.settings import load_settings
from freshet.steps.job import DONE, NOT_BUILT, UP_TO_DATE, Job, StepResult, run_step
from freshet.steps.main_job import MAIN_STEPS
from freshet.storage.home import Home
from freshet.storage.tables import Warehouse
from tests.jobs.small_shop import OVERRIDES, SHOPPERS, shop_rows, write_shop

REPO = Path(__file__).parents[2]
CHAIN = ("ingest", "build", "train", "promote", "recommend", "stream_recommendations")
QUICK = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
"""Jobs on a few rows spend their time in compiling; see conftest.py."""


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


def submitted(master: str, job: str, *arguments: str) -> None:
    quick = [part for place in ("driver", "executor") for part in ("--conf", f"spark.{place}.extraJavaOptions={QUICK}")]
    done = subprocess.run(
        [REPO / "scripts/submit.sh", job, "--master", master, *quick, *arguments],
        capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.cluster
def test_the_chain_on_a_cluster_gives_the_tables_of_the_local_run(
    finished: tuple[Job, list[StepResult]], master: str, tmp_path: Path
) -> None:
    near, far = finished[0].home.root, tmp_path / "far"
    mapping, data = write_shop(tmp_path)
    options = ["--home", str(far), "--env", "test", *[part for one in OVERRIDES for part in ("--set", one)]]
    subprocess.run([REPO / "scripts/package.sh"], check=True, capture_output=True)
    for job in CHAIN:
        inputs = ["--source", str(mapping), "--input", str(data)] if job == "ingest" else []
        submitted(master, job, *options, *inputs)
    for name in ("events", "quarantine", "items_history", "interactions", "user_features", "item_features"):
        assert _table(far, name) == _table(near, name), name
    for name in ("recommendations", "recommendation_updates"):
        ours, theirs = _scores(far, name), _scores(near, name)
        assert ours.keys() == theirs.keys()
        assert ours
        for key, scores in ours.items():
            # Sums in another order may differ in their last digits.
            assert scores == pytest.approx(theirs[key], abs=1e-3), (name, key)


def _table(home: Path, name: str) -> list[dict[str, Any]]:
    rows = DeltaTable(str(home / "warehouse" / name)).to_pyarrow_table().to_pylist()
    return sorted(rows, key=str)


def _scores(home: Path, name: str) -> dict[Any, list[float]]:
    rows = _table(home, name)
    return {(row["user_id"], row["event_clock"]): [item["score"] for item in row["items"]] for row in rows}


WALL_TIMES = {"generated_at", "decided_at", "finished_at", "seconds", "checked_at", "first_seen"}
OF_THE_HOME = {"run_id", "query_id"}
"""Follow from versions of tables, of which a killed run has more."""

WITH_SEVERAL_TABLES = ("ingest", "build", "recommend")


class KilledError(Exception):
    """Stands for the end of the process."""


def test_a_run_killed_in_every_step_ends_with_the_tables_of_an_unbroken_one(
    finished: tuple[Job, list[StepResult]], spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mapping, data = write_shop(tmp_path)
    job = Job(spark, Home(tmp_path / "home").prepare(), load_settings("test", OVERRIDES), mapping, data)
    for step in MAIN_STEPS:
        with monkeypatch.context() as patch:
            if step.name in WITH_SEVERAL_TABLES:
                patch.setattr(Warehouse, "replace", _killed_after(Warehouse.replace))
            else:
                patch.setattr("freshet.steps.job.write_record", _killed)
            with pytest.raises(KilledError):
                run_step(step, job)
        assert run_step(step, job).status == DONE
    unbroken = finished[0].home
    tables = sorted(path.name for path in unbroken.warehouse.iterdir())
    assert sorted(path.name for path in job.home.warehouse.iterdir()) == tables
    for name in tables:
        assert _comparable(job.home.root, name) == _comparable(unbroken.root, name), name


def _killed(*_: Any) -> None:
    raise KilledError


def _killed_after(write: Callable[..., None]) -> Callable[..., None]:
    def once(*arguments: Any, **options: Any) -> None:
        write(*arguments, **options)
        raise KilledError

    return once


def _comparable(home: Path, name: str) -> list[str]:
    """The rows without what tells of the home or the hour; numbers to six places, as sums are not ordered."""
    left_out = WALL_TIMES | OF_THE_HOME
    return sorted(
        str({column: _rounded(value) for column, value in row.items() if column not in left_out})
        for row in _table(home, name)
    )


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, list):
        return [_rounded(one) for one in value]
    return {key: _rounded(one) for key, one in value.items()} if isinstance(value, dict) else value
