"""The commands that run steps: freshet run for the whole main job, and one for each step or group of steps."""

import time
from pathlib import Path
from typing import Any

import click

from freshet.cli.options import check_paths, job_fields, job_options, run_console, with_options
from freshet.cli.output import echo, echo_json
from freshet.runs.registry import command_help, main_steps, options_of
from freshet.runs.step import Step


def step_command(name: str, steps: tuple[Step, ...]) -> click.Command:
    """The command that runs only these steps."""
    options = options_of(steps)

    def work(
        home: Path, environment: str | None, overrides: tuple[str, ...], master: str, as_json: bool, **values: Any
    ) -> None:
        # Imported here because these take seconds, and the help does not need them.
        from freshet.cli.opening import opened_job
        from freshet.cli.progress import run_with_progress
        from freshet.cli.summary import print_record_counts

        console = run_console(as_json)
        fields, settings = job_fields(options, values)
        check_paths(steps, values)
        must_exist = not any(step.starts_home for step in steps)
        with opened_job(home, environment, (*overrides, *settings), master, must_exist=must_exist, **fields) as job:
            results = run_with_progress(job, steps, console)
        if as_json:
            echo_json({r.step: {"status": r.status, **r.record} for r in results})
        for result in results:
            if "raw_rows" in result.record and not as_json:
                print_record_counts(console, result.record)
        for step, result in zip(steps, results, strict=True):
            if step.summary and not as_json and "not_built" not in result.record:
                echo(step.summary.format(**result.record))

    shown = " ".join(f"{option.flag} {option.example}" for option in options) or "--home .freshet"
    help_text = f"{command_help(steps)}\n\n\b\nExample:\n  freshet {name} {shown}"
    return click.command(name=name, help=help_text)(with_options(options)(job_options(work)))


@click.command()
@with_options(options_of(main_steps()))
@job_options
def run(
    home: Path, environment: str | None, overrides: tuple[str, ...], master: str, as_json: bool, **values: Any
) -> None:
    """Run the main job on any mapped data: from raw records to fresh lists and a report.

    A second run with the same data and settings finds everything up to date.

    \b
    Examples:
      freshet run --source conf/sources/online_retail_ii.toml --input online_retail_II.parquet
      freshet run --source conf/sources/cdnow.toml --input CDNOW_master.parquet --home /tmp/cdnow
      freshet run --source my_shop.toml --input events/ --as-of 2026-03-01 --live-days 14
    """
    # Imported here because these take seconds, and the help does not need them.
    from freshet.cli.opening import opened_job
    from freshet.cli.progress import run_with_progress
    from freshet.cli.summary import print_summary

    console, steps = run_console(as_json), main_steps()
    fields, settings = job_fields(options_of(steps), values)
    check_paths(steps, values)
    with opened_job(home, environment, (*overrides, *settings), master, **fields) as job:
        started = time.monotonic()
        results = run_with_progress(job, steps, console)
        if as_json:
            echo_json({r.step: {"status": r.status, **r.record} for r in results})
        else:
            print_summary(console, job.home, results, time.monotonic() - started)
