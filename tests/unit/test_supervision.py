"""A worker is started again after a crash, not after a mistake of the user, and never for ever."""

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from freshet.cli.supervision import Restarts, is_crash, run_supervised, stop_with_supervisor
from freshet.core.errors import StateError
from freshet.runs.service_parameters import ServiceParameters
from freshet.runs.settings import load_settings
from tests.conftest import REPOSITORY

NTH_START = """
import os, pathlib, signal, sys
counter = pathlib.Path(sys.argv[1])
starts = counter.read_text() if counter.exists() else ""
counter.write_text(starts + ("r" if "--rebuild" in sys.argv else "s"))
end = sys.argv[2].split(",")[len(starts)]
if end.startswith("-"):
    os.kill(os.getpid(), -int(end))
sys.exit(int(end))
"""
"""A worker whose nth start ends with the nth of some codes, and that notes each start."""


def params(**changes: float) -> ServiceParameters:
    quick = {"restarts": 3, "restart_seconds": 0.01, "settled_seconds": 3600.0, **changes}
    return load_settings(None, tuple(f"service.{name}={value}" for name, value in quick.items())).service


def test_waits_double_until_a_start_has_lasted_and_are_then_reset() -> None:
    restarts = Restarts(params(restart_seconds=2.0, settled_seconds=60.0))
    assert [restarts.wait_after(seconds) for seconds in (5, 59, 5)] == [2.0, 4.0, 8.0]
    assert restarts.wait_after(1) is None
    assert [restarts.wait_after(seconds) for seconds in (60, 5)] == [2.0, 4.0]


def test_which_ends_are_crashes() -> None:
    assert [code for code in (0, 1, 2, 70, 75, 130, -9, -15) if is_crash(code)] == [70, 75, -9, -15]


def test_a_worker_that_crashes_is_restarted_and_rebuilds_only_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    counter = tmp_path / "starts"
    with pytest.raises(SystemExit) as ended:
        run_supervised([sys.executable, "-c", NTH_START, str(counter), "-9,75,0", "--rebuild"], params())
    assert ended.value.code == 0
    assert counter.read_text() == "rss"
    messages = capsys.readouterr().err.splitlines()
    assert [line.split(";")[0] for line in messages] == [
        "freshet: the stream was killed by signal 9", "freshet: the stream was ended with code 75",
    ]  # fmt: skip


def test_a_mistake_of_the_user_is_final(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run_supervised([sys.executable, "-c", NTH_START, str(tmp_path / "starts"), "1"], params())
    assert ended.value.code == 1
    assert capsys.readouterr().err == ""


def test_a_worker_that_goes_on_crashing_is_given_up_in_one_line(tmp_path: Path) -> None:
    counter = tmp_path / "starts"
    with pytest.raises(StateError, match="ended with code 70, 4 times in succession"):
        run_supervised([sys.executable, "-c", NTH_START, str(counter), "70,70,70,70"], params())
    assert counter.read_text() == "ssss"


def test_a_signal_stops_worker_and_supervisor(tmp_path: Path) -> None:
    worker = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n"
        f"open({str(tmp_path / 'up')!r}, 'w').close()\n"
        "time.sleep(60)"
    )
    program = (
        "import sys\n"
        "from freshet.cli.supervision import run_supervised\n"
        "from freshet.runs.settings import load_settings\n"
        f"run_supervised([sys.executable, '-c', {worker!r}], load_settings().service)"
    )
    process = subprocess.Popen([sys.executable, "-c", program], cwd=REPOSITORY, env={"PYTHONPATH": "lib"})
    while not (tmp_path / "up").exists():
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 0


def test_a_worker_stops_when_the_process_that_watches_it_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    stop = threading.Event()
    monkeypatch.setenv("FRESHET_SUPERVISOR", "17")
    stop_with_supervisor(stop, parent=lambda: 1, every_seconds=0.01)
    assert stop.wait(timeout=10)
