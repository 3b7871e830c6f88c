"""freshet stream as a user runs it: killed under its own feet it comes back, told to stop it stops."""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from deltalake import DeltaTable

from freshet.contracts import EVENTS, RECOMMENDATION_UPDATES
from freshet.core.records import write_record
from freshet.runs.home import Home
from tests.conftest import REPOSITORY
from tests.streaming.service import QUICK, click, promoted_in, put, shop_artifact

pytestmark = [pytest.mark.jobs, pytest.mark.streaming]


def waited(condition: Callable[[], bool], process: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + 400
    while not condition():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.1)


def column(home: Home, table: str, name: str) -> list[str]:
    path = home.warehouse / table
    if not any((path / "_delta_log").glob("*.json")):
        return []
    return sorted(DeltaTable(str(path)).to_pyarrow_table(columns=[name]).column(name).to_pylist())


def figures(address: str) -> str:
    with urllib.request.urlopen(address, timeout=10) as answer:
        return answer.read().decode()


def children(pid: int) -> list[int]:
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False).stdout
    return [int(number) for number in found.split()]


def test_a_killed_service_goes_on_by_itself_and_a_signal_ends_it(tmp_path: Path) -> None:
    home, clicks, log = Home(tmp_path / "home").prepare(), tmp_path / "clicks", tmp_path / "log"
    promoted_in(home, shop_artifact(), "first")
    write_record(home.steps, "recommend", {"fingerprint": "none", "policy": "next_baskets"})
    put(clicks, "a.json", click(1, "ann", "i1"))
    settings = [part for one in (*QUICK, "service.restart_seconds=0") for part in ("--set", one)]
    words = [sys.executable, "-c", "from freshet.cli import main; main()", "stream", "--home", str(home.root),
             "--from", str(clicks), "--metrics-port", "0", *settings]  # fmt: skip
    with log.open("wb") as lines:
        process = subprocess.Popen(
            words,
            stderr=lines,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY / "lib"), "FRESHET_DRIVER_MEMORY": "1g"},
        )
        try:
            waited(lambda: column(home, RECOMMENDATION_UPDATES.name, "user_id") == ["ann"], process, log)
            address = log.read_text().split("metrics at ")[1].splitlines()[0]
            # A micro-batch is counted after its rows can be read.
            waited(lambda: 'freshet_stream_lists_total{job="lists"} 1\n' in figures(address), process, log)
            (worker,) = children(process.pid)
            os.kill(worker, signal.SIGKILL)
            put(clicks, "b.json", click(2, "bob", "i2"))
            waited(lambda: column(home, RECOMMENDATION_UPDATES.name, "user_id") == ["ann", "bob"], process, log)
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=120) == 0
        finally:
            if process.poll() is None:
                process.kill()
    assert column(home, EVENTS.name, "event_id") == ["e1", "e2"]
    began = ["freshet: model 1.0 serves", f"freshet: events are read from folder {clicks}", "freshet: running"]
    crash = "freshet: the stream was killed by signal 9; start 1 follows in 0 s"
    # The JVM has a word of its own about its modules.
    ours = [line for line in log.read_text().splitlines() if line.startswith("freshet:")]
    messages = [line for line in ours if "metrics at" not in line]
    assert messages == [*began, crash, *began, "freshet: stopped"]
