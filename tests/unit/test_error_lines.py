"""What a person sees when something goes wrong: one line, an exit code, no trace."""

import errno
from pathlib import Path

import pytest

from freshet.cli.errors import ended_with_a_line
from freshet.errors import InputError

pytestmark = pytest.mark.unit


def ended(error: BaseException, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    def work() -> None:
        raise error

    with pytest.raises(SystemExit) as stop:
        ended_with_a_line(work)
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1, told.err
    assert isinstance(stop.value.code, int)
    return stop.value.code, told.err


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError("Job aborted: java.io.IOException: No space left on device\n\tat java.io.FileOutputStream"),
    ],
    ids=["of Python", "of Spark"],
)
def test_a_full_disk_is_told_with_what_to_do(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    code, line = ended(error, capsys)
    assert code == 1
    assert "the disk is full; no table was half-written" in line


def test_a_mistake_of_the_user_is_its_own_line(capsys: pytest.CaptureFixture[str]) -> None:
    code, line = ended(InputError("no such file", where="x.csv", do="Give another"), capsys)
    assert (code, line) == (1, f"freshet: {InputError('no such file', where='x.csv', do='Give another').line()}\n")


def test_a_home_that_cannot_be_written_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    code, line = ended(PermissionError(errno.EACCES, "Permission denied", "/data/home"), capsys)
    assert (code, line) == (70, "freshet: /data/home: Permission denied\n")


def test_what_nobody_expected_leaves_its_trace_in_a_file(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, line = ended(ValueError("odd\nand long"), capsys)
    assert code == 70
    assert "unexpected ValueError: odd; the details are in" in line
    assert "and long" in (tmp_path / "freshet-error.log").read_text()


def test_what_java_threw_and_why_is_told_in_the_line(
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
    told = "o7.transform.; java.lang.VirtualMachineError: Out of space; Caused by: java.io.EOFException: the root; the"
    assert told in line


def test_a_break_from_the_keyboard_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(KeyboardInterrupt(), capsys) == (130, "freshet: stopped\n")
