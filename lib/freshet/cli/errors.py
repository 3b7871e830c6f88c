"""The only place where errors become a line on standard error and an exit code."""

import errno
import io
import os
import re
import sys
import traceback
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path

import click

from freshet.cli.output import echo
from freshet.core.errors import NO_SPACE, FreshetError, SetupError, TransientError

TRY_AGAIN, UNEXPECTED = 75, 70
"""Codes of sysexits.h: a failure that may be gone at the next try (EX_TEMPFAIL); an unexpected error (EX_SOFTWARE)."""

_NO_RIGHT = (errno.EACCES, errno.EPERM, errno.EROFS)
_NO_RIGHT_IN_WORDS = ("AccessDeniedException", *map(os.strerror, _NO_RIGHT))

_home: ContextVar[Path | None] = ContextVar("home", default=None)


def remember_home(home: Path) -> None:
    """Sets the home of the command: missing rights to it are reported as such, and traces are written to it."""
    _home.set(home.absolute())


def run_or_exit(work: Callable[[], object]) -> None:
    """Runs `work`; a user error ends the process with one line and code 1 (2 for wrong options, TRY_AGAIN where
    trying again may help)."""
    _home.set(None)
    try:
        work()
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.Abort:
        _fail("stopped", 130)
    except click.ClickException as error:
        _show_usage(error)
        sys.exit(error.exit_code)
    except TransientError as error:
        _fail(error.line(), TRY_AGAIN)
    except FreshetError as error:
        _fail(error.line(), 1)
    except KeyboardInterrupt:
        _fail("stopped", 130)
    except Exception as error:
        _fail(*_line_and_code(error))


def _is_disk_full(error: Exception) -> bool:
    return any(words in str(error) for words in NO_SPACE)


def _line_and_code(error: Exception) -> tuple[str, int]:
    if _is_disk_full(error):
        line = "the disk is full; no table was half-written. Free some space, or choose another --home, and run again"
        return line, 1
    home = _home.get()
    forbidden = None if home is None else _forbidden(error, home)
    if forbidden is not None:
        return forbidden.line(), 1
    if isinstance(error, OSError):
        return f"{error.filename or 'the system'}: {error.strerror or error}", UNEXPECTED
    return f"unexpected {type(error).__name__}: {_shortened(str(error))}{_written_trace(error)}", UNEXPECTED


def _forbidden(error: Exception, home: Path) -> SetupError | None:
    """The error as SetupError if the right to use something in the home is missing; else None."""
    where, roots = str(home), {home, home.resolve()}
    if isinstance(error, OSError) and error.errno is not None:
        if error.errno not in _NO_RIGHT or not isinstance(error.filename, str):
            return None
        where, reason = error.filename, os.strerror(error.errno)
        if not any(Path(where).absolute().is_relative_to(root) for root in roots):
            return None
    else:
        # Spark and Delta report it only in their message, with the path on the same line.
        inside = re.compile("|".join(re.escape(str(root)) + r"(?![\w.-])" for root in roots))
        lines = [line for line in str(error).splitlines() if inside.search(line)]
        reason = next((words for words in _NO_RIGHT_IN_WORDS if any(words in line for line in lines)), "")
        if not reason:
            return None
    return SetupError(
        "the home cannot be used", where=where, expected="the right to read and to write", found=reason,
        do="Choose another --home or make this one writable, and run again",
    )  # fmt: skip


def _written_trace(error: Exception) -> str:
    """Writes the trace to the home, else to the working folder. Returns the words that say where, empty if neither can
    be written."""
    for folder in (_home.get(), Path()):
        if folder is not None:
            try:
                log = folder.absolute() / "freshet-error.log"
                log.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
            except OSError:
                continue
            return f"; the details are in {log}"
    return ""


def _shortened(text: str) -> str:
    """The first line and the exception that Java threw: py4j's first line names only the call that failed."""
    lines = text.strip().splitlines() or ["no text"]
    thrown = [line[2:] for line in lines[1:2] if line.startswith(": ")]
    causes = [line.strip() for line in lines if line.startswith("Caused by: ")]
    return "; ".join(part[:200] for part in (lines[0], *thrown, *causes[-1:]))


def _show_usage(error: click.ClickException) -> None:
    """Prints click's message about wrong options, which quotes the given values."""
    message = io.StringIO()
    error.show(file=message)
    for line in message.getvalue().rstrip("\n").split("\n"):
        echo(line, err=True)


def _fail(line: str, code: int) -> None:
    echo(f"freshet: {line}", err=True)
    sys.exit(code)
