"""Steps and parts of the service as spark-submit jobs: with the options and errors of the command line, and the master
and jars of the launcher."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from freshet.cli.errors import run_or_exit
from freshet.cli.options import check_paths, environment_options, home_option, job_fields, with_options
from freshet.cli.output import Output
from freshet.cli.progress import run_with_progress
from freshet.cli.stream import feed_from_options, feed_options, run_parts, stop_on_signals
from freshet.core.errors import InputError
from freshet.core.logs import log_to
from freshet.core.session import spark_session
from freshet.runs.home import Home
from freshet.runs.job import Job
from freshet.runs.registry import JobScript, job_scripts, options_of
from freshet.runs.settings import Settings, load_settings
from freshet.runs.step import Option


def main_of(script: str) -> Callable[[], None]:
    """The main function of the job script in the file `script`, which runs its steps or its part of the service.

    The home must be a folder that the driver and all executors can access.
    """
    return lambda: run_or_exit(lambda: script_command(Path(script).stem).main(standalone_mode=False))


def main_of_any() -> None:
    """Runs the job named by the first argument: for steps without a script of their own."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    sys.argv[:2] = [name]
    main_of(name)()


def script_command(name: str) -> click.Command:
    """The command of a job script. Raises InputError for an unknown name."""
    known = job_scripts()
    if name not in known:
        raise InputError("no such job", expected=f"one of {', '.join(known)}", found=name or "none")
    return _service_command(known[name]) if known[name].part else _steps_command(known[name])


def _steps_command(script: JobScript) -> click.Command:
    options = options_of(script.steps)
    must_exist = not any(step.starts_home for step in script.steps)

    @click.command(help=script.help + _example(script.name, options))
    @with_options(options)
    @home_option
    @environment_options
    def command(home: Path, environment: str | None, overrides: tuple[str, ...], **values: Any) -> None:
        fields, settings = job_fields(options, values)
        check_paths(script.steps, values)
        loaded = load_settings(environment, (*overrides, *settings))
        with _submitted(script.name, home, loaded, must_exist=must_exist, **fields) as job:
            run_with_progress(job, script.steps, Output())

    return command


def _service_command(script: JobScript) -> click.Command:
    """Runs one part of the service until SIGTERM.

    It does not restart by itself: that is left to the cluster manager.
    """

    @click.command(help=f"{script.help}{_example(script.name)} --from 127.0.0.1:9092 --topic events")
    @home_option
    @feed_options
    @environment_options
    def command(home: Path, environment: str | None, overrides: tuple[str, ...], **options: Any) -> None:
        feed, stop = feed_from_options(options, (script.part,)), stop_on_signals()
        with _submitted(script.part, home, load_settings(environment, overrides)) as job:
            run_parts(job, feed, (script.part,), rebuild=options["rebuild"], stop=stop)

    return command


def _example(name: str, options: Iterable[Option] = ()) -> str:
    """The example at the end of a script's help."""
    given = [f"{option.flag} {option.example}" for option in options if option.required]
    words = ["scripts/submit.sh", name, "--master spark://127.0.0.1:7077 --home /data/freshet", *given]
    return f"\n\n\b\nExample:\n  {' '.join(words)}"


@contextmanager
def _submitted(name: str, home: Path, settings: Settings, *, must_exist: bool = False, **request: Any) -> Iterator[Job]:
    """A job with the Spark session of the launcher."""
    place = Home(home.absolute()).prepare(must_exist=must_exist)
    log_to(place.root)
    spark = spark_session(f"freshet {name}", jars=None, master=None)
    job = Job(spark, place, settings, **request)
    try:
        yield job
    finally:
        job.close()
