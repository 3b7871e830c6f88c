"""Options that several commands share. Does not import Spark, so that commands that only read start in a second."""

import os
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from freshet.cli.errors import remember_home
from freshet.cli.output import Output
from freshet.core.errors import InputError
from freshet.runs.step import Option, Step

F = TypeVar("F", bound=Callable[..., Any])


def home_option(command: F) -> F:
    """--home: the folder with everything that runs make."""
    return click.option(
        "--home",
        type=click.Path(path_type=Path),
        default=".freshet",
        envvar="FRESHET_HOME",
        show_default=True,
        callback=_remember,
        help="Folder for everything that runs make.",
    )(command)


def _remember(context: click.Context, option: click.Parameter, home: Path) -> Path:
    remember_home(home)
    return home


def json_option(command: F) -> F:
    """--json: output for programs."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")(command)


def environment_options(command: F) -> F:
    """--env and --set."""
    command = click.option("--env", "environment", help="Settings file to add to base.toml: dev, test or prod.")(
        command
    )
    return click.option(
        "--set", "overrides", multiple=True, metavar="SECTION.KEY=VALUE", help="One setting for this run."
    )(command)


def settings_options(command: F) -> F:
    """--env, --set and --master."""
    return click.option("--master", default="local[*]", show_default=True, help="Spark master.")(
        environment_options(command)
    )


def parsed_moment(text: str | None) -> datetime | None:
    """An ISO date or time as UTC without zone; a date alone means midnight, None stays None. Raises InputError."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        # On the first and the last day of the calendar, conversion to UTC may overflow.
        return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
    except (ValueError, OverflowError):
        raise InputError("not a date", where=f"--as-of {text}", expected="2011-12-09 or 2011-12-09T12:50:00") from None


def with_options(options: Iterable[Option]) -> Callable[[F], F]:
    """Adds the options of steps to a command."""
    kinds = {"path": click.Path(path_type=Path), "count": click.IntRange(min=0), "moment": click.STRING,
             "text": click.STRING}  # fmt: skip

    def decorated(command: F) -> F:
        for option in reversed(tuple(options)):
            shown = f"{option.help}  [default: {option.default}]" if option.default else option.help
            command = click.option(
                option.flag, option.field, type=kinds[option.kind], required=option.required, help=shown
            )(command)
        return command

    return decorated


def job_fields(options: Iterable[Option], values: dict[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The values of options as fields of Job and as overrides of settings. Raises InputError."""
    fields: dict[str, Any] = {}
    overrides: list[str] = []
    for option in options:
        value = values[option.field]
        if option.setting:
            overrides += [f"{option.setting}={value}"] if value is not None else []
        else:
            fields[option.field] = parsed_moment(value) if option.kind == "moment" else value
    return fields, tuple(overrides)


def check_paths(steps: Iterable[Step], values: dict[str, Any]) -> None:
    """Raises the error of a step for a wrong mapping or input file, before Spark is started."""
    for step in steps:
        if step.check is not None:
            step.check(*[values[option.field] for option in step.options if option.kind == "path"])


def job_options(command: F) -> F:
    """--home, --json and the options of `settings_options`."""
    return home_option(settings_options(json_option(command)))


def is_terminal() -> bool:
    """Whether standard error is a terminal: progress is shown to people only."""
    return os.isatty(2)


def run_console(as_json: bool) -> Output:
    """The console for the messages of a run: standard error if standard output is JSON for a program."""
    # A file has no width; without one, tables would be cut to eighty columns.
    return Output(stderr=as_json, width=None if is_terminal() else 120)
