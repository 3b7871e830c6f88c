"""The jobs on a real standalone cluster: the batch chain and the stream give the tables of a local run."""

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from freshet.settings import load_settings
from freshet.steps.job import Job, run_step
from freshet.steps.main_job import MAIN_STEPS
from freshet.storage.home import Home
from tests.jobs.small_shop import OVERRIDES, write_shop

pytestmark = pytest.mark.cluster

REPO = Path(__file__).parents[2]
CHAIN = ("ingest", "build", "train", "promote", "recommend", "stream_recommendations")
LOCAL_STEPS = ("evaluate", "report")
"""Steps that are left out on both sides."""


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


def submitted(master: str, job: str, *arguments: str) -> str:
    done = subprocess.run(
        [REPO / "scripts/submit.sh", job, "--master", master, *arguments],
        capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def table(home: Path, name: str, *, without: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    rows = DeltaTable(str(home / "warehouse" / name)).to_pyarrow_table().drop_columns(list(without)).to_pylist()
    return sorted(rows, key=str)


def test_the_chain_on_a_cluster_gives_the_tables_of_a_local_run(
    master: str, spark: SparkSession, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("cluster")
    mapping, data = write_shop(folder)
    options = ["--home", str(folder / "far"), "--env", "test"]
    options += [part for override in OVERRIDES for part in ("--set", override)]
    subprocess.run([REPO / "scripts/package.sh"], check=True, capture_output=True)
    for job in CHAIN:
        inputs = ["--source", str(mapping), "--input", str(data)] if job == "ingest" else []
        submitted(master, job, *options, *inputs)

    near = Job(spark, Home(folder / "near").prepare(), load_settings("test", OVERRIDES), mapping, data)
    for step in MAIN_STEPS:
        if step.name not in LOCAL_STEPS:
            run_step(step, near)

    far = folder / "far"
    for name in ("events", "quarantine", "items_history", "interactions", "user_features", "item_features"):
        assert table(far, name) == table(folder / "near", name), name
    _same_lists(far, folder / "near", "recommendations")
    _same_lists(far, folder / "near", "recommendation_updates")


def _same_lists(far: Path, near: Path, name: str) -> None:
    """The same shoppers with the same scores: sums of other order may differ in their last digits."""
    lists = [{(row["user_id"], row["event_clock"]): row["items"] for row in table(home, name)} for home in (far, near)]
    assert lists[0].keys() == lists[1].keys()
    assert lists[0]
    for key, items in lists[0].items():
        assert [item["score"] for item in items] == pytest.approx([i["score"] for i in lists[1][key]], abs=1e-3), key
