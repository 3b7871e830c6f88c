"""The `freshet` command: its subcommands, and the one place where errors become a line and an exit code."""

import sys
from pathlib import Path

import click

from freshet import __version__
from freshet.cli.run import STEP_COMMANDS, run
from freshet.cli.show import show
from freshet.cli.status import status
from freshet.cli.tables import tables
from freshet.errors import FreshetError

_NO_SPACE = ("No space left on device", "Disk quota exceeded")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="freshet")
def freshet() -> None:
    """Keeps a shop's recommendations fresh: from raw events to lists in Delta tables.

    \b
    Examples:
      freshet run --source conf/sources/online_retail_ii.toml --input online_retail_II.parquet
      freshet show 17850
      freshet status
      freshet tables recommendations
    """


for command in (run, *STEP_COMMANDS, show, status, tables):
    freshet.add_command(command)


def main() -> None:
    """Runs the command line; a mistake of the user ends in one line on standard error and exit code 1 or 2."""
    try:
        freshet.main(standalone_mode=False)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except FreshetError as error:
        _fail(error.line(), 1)
    except KeyboardInterrupt:
        _fail("stopped", 130)
    except OSError as error:
        _fail(f"{error.filename or 'the system'}: {error.strerror or error}", 1)
    except Exception as error:
        _fail(_unexpected(error), 70)


def _unexpected(error: Exception) -> str:
    text = str(error)
    if any(words in text for words in _NO_SPACE):
        return "the disk is full: nothing was half-written. Free some space, or choose another --home, and run again"
    log = Path("freshet-error.log")
    import traceback

    try:
        log.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
        where = f"; the details are in {log.resolve()}"
    except OSError:
        where = ""
    first = text.strip().splitlines()[0][:200] if text.strip() else ""
    return f"unexpected {type(error).__name__}: {first}{where}"


def _fail(line: str, code: int) -> None:
    click.echo(f"freshet: {line}", err=True)
    sys.exit(code)
