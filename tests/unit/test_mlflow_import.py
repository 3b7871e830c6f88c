"""MLflow is imported in the background, in a process that has not imported it yet."""

import os
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import pytest

from freshet.cli import opening

SCRIPT = """
import sys, threading
from freshet.registry.store import import_mlflow_in_background
assert "mlflow" not in sys.modules
import_mlflow_in_background()
for thread in threading.enumerate():
    if thread is not threading.main_thread():
        thread.join()
print("mlflow.tracking" in sys.modules)
"""


def _run(*folders: Path) -> "subprocess.CompletedProcess[str]":
    path = os.pathsep.join(str(folder) for folder in (*folders, Path(__file__).parents[2] / "lib"))
    return subprocess.run(
        [sys.executable, "-c", SCRIPT], env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip


def test_mlflow_is_there_when_the_thread_has_ended() -> None:
    done = _run()
    assert (done.stdout.strip(), done.returncode) == ("True", 0), done.stderr


def test_an_import_that_fails_says_nothing_before_it_is_needed(tmp_path: Path) -> None:
    (tmp_path / "mlflow").mkdir()
    (tmp_path / "mlflow" / "__init__.py").write_text("raise ImportError('broken')\n")
    done = _run(tmp_path)
    assert (done.stdout.strip(), done.stderr, done.returncode) == ("False", "", 0)


@pytest.mark.parametrize(("needs_mlflow", "expected"), [(True, ["import", "session"]), (False, ["session"])])
def test_a_job_that_needs_mlflow_starts_the_import_before_java(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, needs_mlflow: bool, expected: list[str]
) -> None:
    begun = list[str]()

    def session(*_: object, **__: object) -> Mock:
        begun.append("session")
        return Mock()

    monkeypatch.setattr(opening, "import_mlflow_in_background", lambda: begun.append("import"))
    monkeypatch.setattr(opening, "local_session", session)
    with opening.opened_job(tmp_path / "home", "test", (), "local[1]", needs_mlflow=needs_mlflow):
        assert begun == expected
