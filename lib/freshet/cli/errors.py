"""The one place where errors become a line on standard error and an exit code."""

import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import click

from freshet.errors import FreshetError, TransientError

TRY_AGAIN, UNEXPECTED = 75, 70
"""Codes of sysexits.h: what failed may work at the next try; an error that nobody thought of."""

_NO_SPACE = ("No space left on device", "Disk quota exceeded")


def ended_with_a_line(work: Callable[[], object]) -> None:
    """Runs `work`; a mistake of the user ends the process with one line and code 1 (2 for wrong options, TRY_AGAIN
    where trying again may help)."""
    try:
        work()
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.Abort:
        _fail("stopped", 130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except TransientError as error:
        _fail(error.line(), TRY_AGAIN)
    except FreshetError as error:
        _fail(error.line(), 1)
    except KeyboardInterrupt:
        _fail("stopped", 130)
    except Exception as error:
        _fail(_unexpected(error), 1 if _is_disk_full(error) else UNEXPECTED)


def _is_disk_full(error: Exception) -> bool:
    return any(words in str(error) for words in _NO_SPACE)


def _unexpected(error: Exception) -> str:
    if _is_disk_full(error):
        return "the disk is full; no table was half-written. Free some space, or choose another --home, and run again"
    if isinstance(error, OSError):
        return f"{error.filename or 'the system'}: {error.strerror or error}"
    log = Path("freshet-error.log").absolute()
    try:
        log.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
        where = f"; the details are in {log}"
    except OSError:
        where = ""
    return f"unexpected {type(error).__name__}: {_in_short(str(error))}{where}"


def _in_short(text: str) -> str:
    """The first line, and with it what Java threw: py4j's first line tells only which call failed."""
    lines = text.strip().splitlines() or ["no text"]
    thrown = [line[2:] for line in lines[1:2] if line.startswith(": ")]
    causes = [line.strip() for line in lines if line.startswith("Caused by: ")]
    return "; ".join(part[:200] for part in (lines[0], *thrown, *causes[-1:]))


def _fail(line: str, code: int) -> None:
    click.echo(f"freshet: {line}", err=True)
    sys.exit(code)
