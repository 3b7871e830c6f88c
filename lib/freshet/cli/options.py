"""Options that commands share. Imports nothing of Spark: commands that only read start in a second."""

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
    """--home: the folder of everything a run makes."""
    return click.option(
        "--home",
        type=click.Path(path_type=Path),
        default=".freshet",
        envvar="FRESHET_HOME",
        show_default=True,
        callback=_remembered,
        help="Folder of everything a run makes.",
    )(command)


def _remembered(context: click.Context, option: click.Parameter, home: Path) -> Path:
    remember_home(home)
    return home


def json_option(command: F) -> F:
    """--json: what a program would read."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")(command)


def settings_options(command: F) -> F:
    """--env, --set and --master."""
    command = click.option("--env", "environment", help="Settings file beside base.toml: dev, test or prod.")(command)
    command = click.option(
        "--set", "overrides", multiple=True, metavar="SECTION.KEY=VALUE", help="One setting for this run."
    )(command)
    return click.option("--master", default="local[*]", show_default=True, help="Spark master.")(command)


def parsed_moment(text: str | None) -> datetime | None:
    """An ISO date or time as UTC without zone; a bare date is its midnight. Raises InputError."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        # On the first and the last day of the calendar a zone may lead out of it.
        return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
    except (ValueError, OverflowError):
        raise InputError("not a date", where=f"--as-of {text}", expected="2011-12-09 or 2011-12-09T12:50:00") from None


def with_options(options: Iterable[Option]) -> Callable[[F], F]:
    """The options of steps."""
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


def given_values(options: Iterable[Option], values: dict[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """What the options of steps come to: fields of Job, and overrides of settings. Raises InputError."""
    fields: dict[str, Any] = {}
    overrides: list[str] = []
    for option in options:
        value = values[option.field]
        if option.setting:
            overrides += [f"{option.setting}={value}"] if value is not None else []
        else:
            fields[option.field] = parsed_moment(value) if option.kind == "moment" else value
    return fields, tuple(overrides)


def check_given(steps: Iterable[Step], values: dict[str, Any]) -> None:
    """Raises what is wrong with the paths that a step is given: a wrong mapping or file, before Spark is started."""
    for step in steps:
        if step.check is not None:
            step.check(*[values[option.field] for option in step.options if option.kind == "path"])


def job_options(command: F) -> F:
    """--home, --json and settings_options."""
    return home_option(settings_options(json_option(command)))


def is_terminal() -> bool:
    """Whether a person watches: progress is shown to people only."""
    return os.isatty(2)


def run_console(as_json: bool) -> Output:
    """Where a run tells of itself: beside the JSON that a program reads."""
    # In a file nothing needs to fit eighty columns; tables would be cut to that.
    return Output(stderr=as_json, width=None if is_terminal() else 120)
