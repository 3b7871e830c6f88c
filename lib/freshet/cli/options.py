"""Options that commands share, and how they become a job."""

import contextlib
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from freshet.errors import InputError
from freshet.logs import log_to
from freshet.session import local_session
from freshet.settings import load_settings
from freshet.steps.ingest import mapped_files
from freshet.steps.job import Job
from freshet.storage.home import Home

F = TypeVar("F", bound=Callable[..., Any])


def home_option(command: F) -> F:
    """--home: the folder of everything a run makes."""
    return click.option(
        "--home",
        type=click.Path(path_type=Path),
        default=".freshet",
        envvar="FRESHET_HOME",
        show_default=True,
        help="Folder of everything a run makes.",
    )(command)


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
    except ValueError:
        raise InputError("not a date", where=f"--as-of {text}", expected="2011-12-09 or 2011-12-09T12:50:00") from None
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


@contextlib.contextmanager
def opened_job(
    home: Path,
    environment: str | None,
    overrides: tuple[str, ...],
    master: str,
    *,
    source: Path | None = None,
    input_path: Path | None = None,
    as_of: datetime | None = None,
    live_days: int | None = None,
) -> Iterator[Job]:
    """A job with its own Spark session, stopped at the end. Settings are checked before Spark starts."""
    if live_days is not None:
        overrides = (*overrides, f"windows.live_days={live_days}")
    settings = load_settings(environment, overrides)
    if source is not None and input_path is not None:
        mapped_files(source, input_path)  # a wrong mapping or file is told before Spark is started
    place = Home(home.absolute()).prepare()
    log_to(place.root)
    spark = local_session("freshet", master, scratch=place.root / "scratch")
    try:
        yield Job(spark, place, settings, source=source, input_path=input_path, as_of=as_of)
    finally:
        spark.stop()


def is_terminal() -> bool:
    """Whether a person watches: progress is shown to people only."""
    return os.isatty(2)
