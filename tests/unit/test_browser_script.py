"""scripts/browser.sh: a browser is installed where it can be, and its absence ends no check."""

import subprocess
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

pytestmark = pytest.mark.unit


def script_outcome(folder: Path, **programs: str) -> tuple[int, str]:
    """Exit code and words of the script where the PATH holds these programs alone, besides a few of the system's."""
    for name in ("bash", "env", "timeout", "mktemp", "rm", "tail", "grep"):
        programs.setdefault(name, f'exec /usr/bin/{name} "$@"')
    for name, text in programs.items():
        (folder / name).write_text(f"#!/bin/bash\n{text}\n")
        (folder / name).chmod(0o755)
    done = subprocess.run(
        ["/bin/bash", REPOSITORY / "scripts/browser.sh"], env={"PATH": str(folder)}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_a_browser_that_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    assert script_outcome(tmp_path, chromium="exit 1", **{"apt-get": "exit 1"}) == (0, "")


def test_root_gets_one_without_a_word(tmp_path: Path) -> None:
    installed = tmp_path / "installed"
    assert script_outcome(tmp_path, id="echo 0", **{"apt-get": f'echo noise "$@"; echo "$@" >>{installed}'}) == (0, "")
    assert installed.read_text().splitlines()[-1].endswith("chromium")


@pytest.mark.parametrize(
    ("programs", "why"),
    [
        ({}, "no apt-get"),
        ({"id": "echo 1000", "apt-get": "exit 0"}, "only root may install it"),
        ({"id": "echo 0", "apt-get": "echo noise; echo 'E: no network' >&2; exit 100"}, "E: no network"),
    ],
)
def test_where_it_cannot_be_installed_one_line_says_why(tmp_path: Path, programs: dict[str, str], why: str) -> None:
    code, words = script_outcome(tmp_path, **programs)
    assert (code, len(words.splitlines())) == (0, 1)
    assert why in words
    assert "the report is not tested in a browser" in words
