"""Steps and the parts of the service as jobs of spark-submit: same options and same errors as the command line, the
launcher's master and jars."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from freshet.cli.errors import ended_with_a_line
from freshet.cli.options import home_option, parsed_moment
from freshet.cli.progress import run_with_progress
from freshet.cli.stream import feed_from_options, feed_options, run_parts, stop_on_signals
from freshet.core.errors import InputError
from freshet.core.logs import log_to
from freshet.core.session import spark_session
from freshet.pipeline.items import ITEMS
from freshet.pipeline.main_job import MAIN_STEPS
from freshet.runs.home import Home
from freshet.runs.job import Job
from freshet.runs.settings import Settings, load_settings


def job_command(*names: str) -> Callable[[], None]:
    """The main function of a job script that runs these steps, each as soon as those that it needs have ended.

    The home must be a folder that driver and executors all see. Raises InputError for a name that no step has.
    """
    known = (*MAIN_STEPS, ITEMS)
    unknown = set(names) - {step.name for step in known}
    if unknown or not names:
        raise InputError(
            "no such step", where=Path(sys.argv[0]).name, expected=f"some of {', '.join(step.name for step in known)}",
            found=", ".join(sorted(unknown)) or "none",
        )  # fmt: skip
    steps = [step for step in known if step.name in names]
    begins = bool({MAIN_STEPS[0].name, ITEMS.name} & set(names))
    title = " ".join(f"{step.title}." for step in steps)

    @click.command(help=title + _example("--source my_shop.toml --input events/" if begins else ""))
    @home_option
    @click.option("--env", "environment", help="Settings file beside base.toml: dev, test or prod.")
    @click.option("--set", "overrides", multiple=True, metavar="SECTION.KEY=VALUE", help="One setting for this run.")
    @click.option(
        "--source", type=click.Path(path_type=Path), help="Mapping of the source, for ingest, main_job and items."
    )
    @click.option(
        "--input", "input_path", type=click.Path(path_type=Path), help="File or folder, for ingest, main_job and items."
    )
    @click.option("--as-of", "as_of", help="Moment the run stands at, UTC, for build.")
    @click.option("--live-days", type=click.IntRange(min=0), help="Days kept for the live part, for build.")
    def command(
        home: Path,
        environment: str | None,
        overrides: tuple[str, ...],
        source: Path | None,
        input_path: Path | None,
        as_of: str | None,
        live_days: int | None,
    ) -> None:
        if live_days is not None:
            overrides = (*overrides, f"windows.live_days={live_days}")
        request: dict[str, Any] = {"source": source, "input_path": input_path, "as_of": parsed_moment(as_of)}
        name, settings = Path(sys.argv[0]).stem, load_settings(environment, overrides)
        with _submitted(name, home, settings, must_exist=not begins, **request) as job:
            run_with_progress(job, steps, Console(highlight=False))

    return lambda: ended_with_a_line(lambda: command.main(standalone_mode=False))


def service_command(part: str, title: str) -> Callable[[], None]:
    """The main function of a job script that runs one part of the service until SIGTERM.

    It does not start again by itself: that is for the cluster's manager to do.
    """

    @click.command(help=title + _example("--from 127.0.0.1:9092 --topic events"))
    @home_option
    @feed_options
    @click.option("--env", "environment", help="Settings file beside base.toml: dev, test or prod.")
    @click.option("--set", "overrides", multiple=True, metavar="SECTION.KEY=VALUE", help="One setting for this run.")
    def command(home: Path, environment: str | None, overrides: tuple[str, ...], **options: Any) -> None:
        feed, stop = feed_from_options(options, (part,)), stop_on_signals()
        with _submitted(part, home, load_settings(environment, overrides)) as job:
            run_parts(job, feed, (part,), rebuild=options["rebuild"], stop=stop)

    return lambda: ended_with_a_line(lambda: command.main(standalone_mode=False))


def _example(options: str) -> str:
    """What the help of a script ends with."""
    words = (
        "scripts/submit.sh",
        Path(sys.argv[0]).stem,
        "--master spark://127.0.0.1:7077 --home /data/freshet",
        options,
    )
    return f"\n\n\b\nExample:\n  {' '.join(words).rstrip()}"


@contextmanager
def _submitted(name: str, home: Path, settings: Settings, *, must_exist: bool = False, **request: Any) -> Iterator[Job]:
    """A job with the launcher's session."""
    place = Home(home.absolute()).prepare(must_exist=must_exist)
    log_to(place.root)
    spark = spark_session(f"freshet {name}", jars=None, master=None)
    job = Job(spark, place, settings, **request)
    try:
        yield job
    finally:
        job.close()
