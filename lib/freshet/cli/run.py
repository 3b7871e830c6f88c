"""freshet run: the whole main job."""

import json
import time
from datetime import datetime
from pathlib import Path

import click

from freshet.cli.opening import opened_job
from freshet.cli.options import job_options, parsed_moment, run_console
from freshet.cli.progress import run_with_progress
from freshet.cli.summary import print_summary
from freshet.pipeline.main_job import MAIN_STEPS


@click.command()
@click.option("--source", type=click.Path(path_type=Path), required=True, help="Mapping of the source (TOML).")
@click.option(
    "--input", "input_path", type=click.Path(path_type=Path), required=True, help="File or folder of raw data."
)
@click.option("--as-of", "as_of", help="Moment the run stands at, UTC.  [default: just after the newest event]")
@click.option("--live-days", type=click.IntRange(min=0), help="Days before it that are replayed live.  [default: 30]")
@job_options
def run(  # noqa: PLR0913  # one parameter per option, as click wants it
    source: Path,
    input_path: Path,
    as_of: str | None,
    live_days: int | None,
    home: Path,
    environment: str | None,
    overrides: tuple[str, ...],
    master: str,
    as_json: bool,
) -> None:
    """The main job on any mapped data: from raw records to fresh lists and a report.

    A second run with the same data and settings finds everything up to date.

    \b
    Examples:
      freshet run --source conf/sources/online_retail_ii.toml --input online_retail_II.parquet
      freshet run --source conf/sources/cdnow.toml --input CDNOW_master.parquet --home /tmp/cdnow
      freshet run --source my_shop.toml --input events/ --as-of 2026-03-01 --live-days 14
    """
    console = run_console(as_json)
    moment: datetime | None = parsed_moment(as_of)
    with opened_job(
        home, environment, overrides, master, source=source, input_path=input_path, as_of=moment, live_days=live_days
    ) as job:
        began = time.monotonic()
        results = run_with_progress(job, MAIN_STEPS, console)
        if as_json:
            click.echo(json.dumps({r.step: {"status": r.status, **r.record} for r in results}, default=str))
        else:
            print_summary(console, job.home, results, time.monotonic() - began)
