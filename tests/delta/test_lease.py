"""Leases between operating-system processes."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from freshet.core.errors import BusyError
from freshet.runs.home import Home
from freshet.tables.leases import lease, leases

HOLD = """
import sys
from pathlib import Path
from freshet.tables.leases import leases
with leases(Path(sys.argv[1]), "build", ["interactions", "events"]):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def other_process_holding(home: Home) -> Iterator[subprocess.Popen]:
    """A process that holds job build and tables events and interactions until its input ends."""
    command = [sys.executable, "-c", HOLD, str(home.locks)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as other:
        try:
            assert other.stdout is not None
            assert other.stdout.readline() == "held\n"
            yield other
        finally:
            other.kill()


def test_a_held_job_or_table_is_busy_and_names_the_holder(home: Home) -> None:
    with other_process_holding(home) as other:
        with (
            pytest.raises(BusyError, match=f"job build is in use by process {other.pid}"),
            leases(home.locks, "build", []),
        ):
            pass
        with (
            pytest.raises(BusyError, match=f"table events is in use by process {other.pid}"),
            leases(home.locks, "stream", ["users", "events"]),
        ):
            pass
        with leases(home.locks, "stream", ["recommendation_updates"]):
            pass  # another job on other tables of the same home


def test_a_refused_set_of_leases_holds_nothing_back(home: Home) -> None:
    with lease(home.locks, "table", "items"):
        with pytest.raises(BusyError), leases(home.locks, "train", ["events", "items"]):
            pass
        with leases(home.locks, "train", ["events"]):
            pass


def test_the_lease_of_a_killed_process_is_free(home: Home) -> None:
    with other_process_holding(home) as other:
        os.kill(other.pid, signal.SIGKILL)
        other.wait()
        with leases(home.locks, "build", ["events", "interactions"]):
            pass


def test_a_lease_is_free_after_its_block_and_after_an_error_in_it(home: Home) -> None:
    with pytest.raises(ZeroDivisionError), lease(home.locks, "job", "build"):
        _ = 1 / 0
    with (
        lease(home.locks, "job", "build"),
        pytest.raises(BusyError, match=f"process {os.getpid()}"),
        lease(home.locks, "job", "build"),
    ):
        pass


def test_two_homes_never_meet(home: Home) -> None:
    neighbour = Home(home.root.parent / "neighbour").prepare()
    with lease(home.locks, "job", "build"), lease(neighbour.locks, "job", "build"):
        pass


def test_jobs_of_one_process_share_a_table_and_other_processes_wait_for_the_last(home: Home) -> None:
    held_elsewhere = [sys.executable, "-c", HOLD, str(home.locks)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}

    def refused_elsewhere() -> bool:
        done = subprocess.run(
            held_elsewhere, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment, check=False
        )
        return f"table events is in use by process {os.getpid()}" in done.stderr

    with leases(home.locks, "stream", ["events"]):
        with leases(home.locks, "evaluate", ["events"]):
            assert refused_elsewhere()
        assert refused_elsewhere()
    assert not refused_elsewhere()
