"""freshet run: the whole main job."""

import time
from pathlib import Path
from typing import Any

import click

from freshet.cli.opening import opened_job
from freshet.cli.options import check_paths, job_fields, job_options, run_console, with_options
from freshet.cli.output import echo_json
from freshet.cli.progress import run_with_progress
from freshet.cli.summary import print_summary
from freshet.runs.registry import main_steps, options_of


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
