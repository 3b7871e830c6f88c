"""scripts/setup.sh on machines that lack something: what it tells, and that it leaves nothing behind.

It runs as a copy in an empty folder, and finds nothing on its PATH but plain tools and stand-ins: neither a package
manager nor a Python is there that could install anything, whoever runs the tests.
"""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

pytestmark = pytest.mark.unit

FILES = ("scripts/setup.sh", "freshet.lock", "pyproject.toml")
TOOLS = ("basename", "cat", "cut", "dirname", "head", "mkdir", "mktemp", "readlink", "rm", "sed", "sha256sum", "sleep",
         "tail")  # fmt: skip
PLAIN_USER, ROOT = "echo 1000", "echo 0"
NEW_JAVA, OLD_JAVA, OLDEST_JAVA = (
    f"""echo 'openjdk version "{version}"' >&2""" for version in ("21.0.2", "11.0.22", "1.8.0_392")
)
OLD_PYTHON = "exit 1"
PYTHON_WITHOUT_VENV = """case "$2" in *ensurepip*) exit 1 ;; esac"""

JAVA_ADVICE = [
    "    Debian, Ubuntu   sudo apt-get update && sudo apt-get install -y openjdk-17-jre-headless",
    "    Fedora           sudo dnf install -y java-21-openjdk-headless",
]
PYTHON_ADVICE = [
    "    Debian, Ubuntu   sudo apt-get update && sudo apt-get install -y python3 python3-venv",
    "    Fedora           sudo dnf install -y python3",
    "    macOS            brew install python@3.12",
]


def set_up(folder: Path, stand_ins: dict[str, str], **environment: str) -> list[str]:
    """The lines on standard error of a set-up that has to fail, with stand-ins of these programs on its PATH."""
    place, found = folder / "freshet", folder / "bin"
    (place / "scripts").mkdir(parents=True)
    found.mkdir()
    for name in FILES:
        shutil.copy(REPOSITORY / name, place / name)
    for name in TOOLS:
        tool = shutil.which(name)
        assert tool is not None
        (found / name).symlink_to(tool)
    for name, text in stand_ins.items():
        (found / name).write_text(f"#!/bin/sh\n{text}\n")
        (found / name).chmod(0o755)
    shell = shutil.which("bash")
    assert shell is not None
    done = subprocess.run(
        [shell, str(place / "scripts/setup.sh")], env={"PATH": str(found), "HOME": str(folder), **environment},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    assert sorted(str(path.relative_to(place)) for path in place.rglob("*") if path.is_file()) == sorted(FILES)
    assert sorted(path.name for path in place.iterdir()) == ["freshet.lock", "pyproject.toml", "scripts"]
    return done.stderr.splitlines()


@pytest.mark.parametrize("user", [PLAIN_USER, ROOT], ids=["a plain user", "root"])
def test_missing_java_is_reported_with_the_command_that_installs_it(tmp_path: Path, user: str) -> None:
    lines = set_up(tmp_path, {"id": user})
    assert lines[0] == (
        "freshet: Java 17 or newer is needed; none was found on PATH, and JAVA_HOME is not set. To install it:"
    )
    assert lines[1:3] == JAVA_ADVICE
    assert len(lines) == 4


@pytest.mark.parametrize(("java", "version"), [(OLD_JAVA, "11"), (OLDEST_JAVA, "8")], ids=["11", "8"])
def test_java_that_is_too_old_is_reported_with_its_version(tmp_path: Path, java: str, version: str) -> None:
    lines = set_up(tmp_path, {"id": PLAIN_USER, "java": java})
    assert lines[0].startswith(f"freshet: Java 17 or newer is needed; the one on PATH is Java {version}. ")
    assert lines[1:3] == JAVA_ADVICE


def test_a_plain_user_has_nothing_installed_and_root_sees_why_it_failed(tmp_path: Path) -> None:
    noted = tmp_path / "asked"
    apt = f'echo "$*" >>"{noted}"\necho "E: no such package" >&2\nexit 100'
    set_up(tmp_path / "plain", {"id": PLAIN_USER, "apt-get": apt})
    assert not noted.exists()
    lines = set_up(tmp_path / "root", {"id": ROOT, "apt-get": apt})
    assert noted.read_text().splitlines() == [
        "update",
        "install -y --no-upgrade openjdk-17-jre-headless",
        "install -y --no-upgrade openjdk-21-jre-headless",
    ]
    assert lines[:3] == ["E: no such package"] * 3
    assert lines[3].startswith("freshet: Java 17 or newer is needed; none was found")
    assert lines[4:6] == JAVA_ADVICE


def test_java_of_the_user_s_choice_is_not_replaced(tmp_path: Path) -> None:
    noted = tmp_path / "asked"
    stand_ins = {"id": ROOT, "java": NEW_JAVA, "apt-get": f'echo "$*" >>"{noted}"'}
    lines = set_up(tmp_path / "set up", stand_ins, JAVA_HOME="/nonexistent")
    assert lines[0].startswith("freshet: Java 17 or newer is needed; JAVA_HOME (/nonexistent) holds no working Java. ")
    assert not noted.exists()


def test_python_that_is_too_old_is_reported_with_the_command_that_installs_it(tmp_path: Path) -> None:
    lines = set_up(tmp_path, {"id": PLAIN_USER, "java": NEW_JAVA, "python3": OLD_PYTHON, "python3.11": OLD_PYTHON})
    tried = "python3.11 python3.12 python3.13 python3"
    assert lines == [f"freshet: Python 3.11 or newer is needed, and {tried} is not it. To install it:", *PYTHON_ADVICE]


def test_python_of_the_user_s_choice_that_is_too_old_is_reported(tmp_path: Path) -> None:
    stand_ins = {"id": PLAIN_USER, "java": NEW_JAVA, "python3.11": PYTHON_WITHOUT_VENV, "mine": OLD_PYTHON}
    lines = set_up(tmp_path, stand_ins, PYTHON="mine")
    assert lines[0] == "freshet: Python 3.11 or newer is needed, and mine (from PYTHON) is not it. To install it:"


def test_python_without_environments_is_reported_with_the_package_that_it_lacks(tmp_path: Path) -> None:
    stand_ins = {"id": PLAIN_USER, "java": NEW_JAVA, "python3.12": PYTHON_WITHOUT_VENV, "python3": OLD_PYTHON}
    assert set_up(tmp_path, stand_ins) == [
        "freshet: python3.12 cannot create virtual environments; on Debian and Ubuntu:",
        "    sudo apt-get install -y python3.12-venv",
    ]
