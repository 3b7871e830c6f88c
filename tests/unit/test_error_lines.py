"""What a person sees when something goes wrong: one line, an exit code, no trace."""

import errno
from pathlib import Path

import pytest

from freshet.cli.errors import remember_home, run_or_exit
from freshet.core.errors import InputError

pytestmark = pytest.mark.unit


def ended(error: BaseException, capsys: pytest.CaptureFixture[str], *, home: Path | None = None) -> tuple[int, str]:
    def work() -> None:
        if home is not None:
            remember_home(home)
        raise error

    with pytest.raises(SystemExit) as stop:
        run_or_exit(work)
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.count("\n") == 1, output.err
    assert isinstance(stop.value.code, int)
    return stop.value.code, output.err


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError("Job aborted: java.io.IOException: No space left on device\n\tat java.io.FileOutputStream"),
    ],
    ids=["of Python", "of Spark"],
)
def test_a_full_disk_is_reported_with_what_to_do(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    code, line = ended(error, capsys)
    assert code == 1
    assert "the disk is full; no table was half-written" in line


def test_a_mistake_of_the_user_is_its_own_line(capsys: pytest.CaptureFixture[str]) -> None:
    code, line = ended(InputError("no such file", where="x.csv", do="Give another"), capsys)
    assert (code, line) == (1, f"freshet: {InputError('no such file', where='x.csv', do='Give another').line()}\n")


@pytest.mark.parametrize(
    ("error", "where", "found"),
    [
        (PermissionError(errno.EACCES, "Permission denied", "/data/home/steps/x"), "/data/home/steps/x",
         "Permission denied"),
        (PermissionError(errno.EPERM, "Operation not permitted", "/data/home"), "/data/home",
         "Operation not permitted"),
        (OSError(errno.EROFS, "Read-only file system", "/data/home/locks"), "/data/home/locks",
         "Read-only file system"),
        (RuntimeError("o7.save\n: java.io.FileNotFoundException: /data/home/warehouse/events/x (Permission denied)"),
         "/data/home", "Permission denied"),
    ],
    ids=["no right", "not permitted", "read only", "of Spark"],
)  # fmt: skip
def test_a_home_that_cannot_be_written_is_reported_with_what_to_do(
    error: Exception, where: str, found: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(error, capsys, home=Path("/data/home")) == (
        1,
        f"freshet: {where}: the home cannot be used; expected the right to read and to write; found {found}. "
        "Choose another --home or make this one writable, and run again\n",
    )


def test_what_is_forbidden_outside_of_the_home_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    error = PermissionError(errno.EACCES, "Permission denied", "/data/homely")
    outcome = (70, "freshet: /data/homely: Permission denied\n")
    assert ended(error, capsys, home=Path("/data/home")) == ended(error, capsys) == outcome
    of_spark = RuntimeError("java.io.FileNotFoundException: /data/homely (Permission denied)\n\tat /data/home/x")
    code, line = ended(of_spark, capsys, home=Path("/data/home"))
    assert code == 70
    assert "unexpected RuntimeError: java.io.FileNotFoundException: /data/homely (Permission denied)" in line


@pytest.mark.parametrize(
    ("home", "folder"), [("home", "home"), ("never made", "here"), (None, "here")], ids=["home", "no home", "unknown"]
)
def test_what_nobody_expected_leaves_its_trace_in_the_home_or_where_one_is(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    home: str | None,
    folder: str,
) -> None:
    for name in ("home", "here"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    code, line = ended(ValueError("odd\nand long"), capsys, home=None if home is None else tmp_path / home)
    log = tmp_path / folder / "freshet-error.log"
    assert (code, line) == (70, f"freshet: unexpected ValueError: odd; the details are in {log}\n")
    assert "and long" in log.read_text()
    assert list(tmp_path.rglob("*.log")) == [log]


def test_a_trace_that_can_be_left_nowhere_is_no_further_error(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "freshet-error.log").mkdir()
    assert ended(ValueError("odd"), capsys) == (70, "freshet: unexpected ValueError: odd\n")


def test_what_java_threw_and_why_is_reported_in_the_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    trace = [
        "An error occurred while calling o7.transform.",
        ": java.lang.VirtualMachineError: Out of space",
        "\tat a.B.c(B.java:1)",
        "Caused by: java.io.IOException: between",
        "\tat a.D.e(D.java:2)",
        "Caused by: java.io.EOFException: the root",
        "\t... 3 more",
    ]
    _, line = ended(RuntimeError("\n".join(trace)), capsys)
    text = "o7.transform.; java.lang.VirtualMachineError: Out of space; Caused by: java.io.EOFException: the root; the"
    assert text in line


def test_a_break_from_the_keyboard_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(KeyboardInterrupt(), capsys) == (130, "freshet: stopped\n")
