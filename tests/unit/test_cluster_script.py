"""scripts/cluster.sh ends the processes that it has started, and no others."""

import os
import shutil
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

pytestmark = pytest.mark.unit

DAEMON = """#!/usr/bin/env bash
# Whole before it is said: three of them write the same file, and who reads it must not find it half-written.
env >"$(dirname "$0")/environment.$$"
mv "$(dirname "$0")/environment.$$" "$(dirname "$0")/environment"
echo "I have been elected leader. Successfully registered with master"
exec sleep 60
"""
"""In place of Spark's own program: it says what a master and a worker say, and waits."""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with the script and a Spark whose daemons do nothing."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(REPOSITORY / "scripts/cluster.sh", tmp_path / "scripts")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/spark-class").write_text(DAEMON)
    (tmp_path / "bin/spark-class").chmod(0o755)
    return tmp_path


def script(checkout: Path, command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "SPARK_HOME": str(checkout), "FRESHET_CLUSTER_SECONDS": "60"}
    return subprocess.run(
        [checkout / "scripts/cluster.sh", command], env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """A process that has nothing to do with any cluster."""
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait()


@pytest.mark.parametrize("words", ["", "/opt/spark/bin/spark-class org.apache.spark.deploy.master.Master\n"])
def test_a_stale_process_id_ends_nobody(checkout: Path, bystander: subprocess.Popen[bytes], words: str) -> None:
    (checkout / ".cluster").mkdir()
    (checkout / ".cluster/master.pid").write_text(f"{bystander.pid}\n{words}")
    assert script(checkout, "status").stdout == ""
    assert script(checkout, "stop").returncode == 0
    # What was sent a signal would be gone when its parent asks again.
    with pytest.raises(subprocess.TimeoutExpired):
        bystander.wait(timeout=0.3)
    assert not (checkout / ".cluster/master.pid").exists()


def test_what_was_started_is_ended_and_its_secret_is_for_its_user_alone(checkout: Path) -> None:
    started = script(checkout, "start")
    assert started.stdout == "spark://127.0.0.1:7077\n", started.stderr
    secret = checkout / ".cluster/secret"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert len(secret.read_text()) >= 40
    environment = (checkout / "bin/environment").read_text().splitlines()
    assert f"_SPARK_AUTH_SECRET={secret.read_text()}" in environment
    assert any(line.startswith("SPARK_DAEMON_JAVA_OPTS=-Dspark.authenticate=true") for line in environment)
    processes = [int(file.read_text().split()[0]) for file in (checkout / ".cluster").glob("*.pid")]
    assert len(processes) == 3
    assert script(checkout, "status").stdout.count("runs as process") == 3
    assert script(checkout, "stop").returncode == 0
    until = time.monotonic() + 10
    while any(Path(f"/proc/{process}/cmdline").exists() for process in processes):
        assert time.monotonic() < until
        time.sleep(0.01)
    assert not secret.exists()
