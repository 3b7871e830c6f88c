"""A step as a job of spark-submit: same options and same errors as the command line, the launcher's master and jars."""

from collections.abc import Callable
from pathlib import Path

import click
from rich.console import Console

from freshet.cli.errors import ended_with_a_line
from freshet.cli.options import home_option, parsed_moment
from freshet.cli.run import run_steps
from freshet.logs import log_to
from freshet.session import spark_session
from freshet.settings import load_settings
from freshet.steps.job import Job
from freshet.steps.main_job import MAIN_STEPS
from freshet.storage.home import Home


def job_command(*names: str) -> Callable[[], None]:
    """The main function of a job script that runs these steps in order.

    The home must be a folder that driver and executors all see.
    """
    steps = [step for step in MAIN_STEPS if step.name in names]

    @click.command(help=" ".join(f"{step.title}." for step in steps))
    @home_option
    @click.option("--env", "environment", help="Settings file beside base.toml: dev, test or prod.")
    @click.option("--set", "overrides", multiple=True, metavar="SECTION.KEY=VALUE", help="One setting for this run.")
    @click.option("--source", type=click.Path(path_type=Path), help="Mapping of the source, for ingest.")
    @click.option("--input", "input_path", type=click.Path(path_type=Path), help="File or folder, for ingest.")
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
        settings = load_settings(environment, overrides)
        place = Home(home.absolute()).prepare()
        log_to(place.root)
        spark = spark_session(f"freshet {names[0]}", jars=None, master=None)
        try:
            job = Job(spark, place, settings, source=source, input_path=input_path, as_of=parsed_moment(as_of))
            run_steps(job, steps, Console(highlight=False))
        finally:
            spark.stop()

    return lambda: ended_with_a_line(lambda: command.main(standalone_mode=False))
