"""freshet run, and its steps each alone."""

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from freshet.cli.options import home_option, is_terminal, json_option, opened_job, parsed_moment, settings_options
from freshet.cli.summary import print_summary, result_line
from freshet.steps.job import Job, Step, StepResult, run_step
from freshet.steps.main_job import MAIN_STEPS

_STEP_HELP = {
    "ingest": "Read raw records into tables events, quarantine and items_history.",
    "build": "Build interactions and features as of the cut.",
    "train": "Train recommender, purchase probability and segments under MLflow.",
    "promote": "Judge each challenger at the gate; make it champion or refuse it with reasons.",
    "recommend": "Write lists, similar and popular items, probabilities and segments of the champions.",
    "replay": "Replay the live days as a stream that keeps lists fresh.",
    "evaluate": "Judge the served lists and the baselines on the test days.",
    "report": "Write the HTML report.",
}


def run_steps(job: Job, steps: list[Step], console: Console) -> list[StepResult]:
    """Runs steps in order, with a line each; progress within a step shows while it runs."""
    results = []
    for step in steps:
        with console.status(f"{step.title} ...") as line:
            job.tell = _teller(console, line.update, step.title)
            result = run_step(step, job)
        console.print(result_line(result))
        results.append(result)
    return results


def _teller(console: Console, update: Callable[[str], None], title: str) -> Callable[[str], None]:
    def tell(text: str) -> None:
        update(f"{title}: {text}")
        console.print(f"    {text}", style="dim")

    return tell


def _console(as_json: bool) -> Console:
    # In a file nothing needs to fit eighty columns; tables would be cut to that.
    return Console(stderr=as_json, highlight=False, width=None if is_terminal() else 120)


def _shared(command: Callable[..., Any]) -> Callable[..., Any]:
    return home_option(settings_options(json_option(command)))


@click.command()
@click.option("--source", type=click.Path(path_type=Path), required=True, help="Mapping of the source (TOML).")
@click.option(
    "--input", "input_path", type=click.Path(path_type=Path), required=True, help="File or folder of raw data."
)
@click.option("--as-of", "as_of", help="Moment the run stands at, UTC.  [default: just after the newest event]")
@click.option("--live-days", type=click.IntRange(min=0), help="Days before it that are replayed live.  [default: 30]")
@_shared
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
    console = _console(as_json)
    moment: datetime | None = parsed_moment(as_of)
    with opened_job(
        home, environment, overrides, master, source=source, input_path=input_path, as_of=moment, live_days=live_days
    ) as job:
        results = run_steps(job, list(MAIN_STEPS), console)
        if as_json:
            click.echo(json.dumps({r.step: {"status": r.status, **r.record} for r in results}, default=str))
        else:
            print_summary(console, job.home, results)


def _step_command(name: str) -> click.Command:
    steps = [step for step in MAIN_STEPS if step.name == name or step.name.startswith(f"{name}-")]

    def work(
        home: Path, environment: str | None, overrides: tuple[str, ...], master: str, as_json: bool, **options: Any
    ) -> None:
        console = _console(as_json)
        wishes: dict[str, Any] = {key: options[key] for key in ("source", "input_path", "live_days") if key in options}
        if "as_of" in options:
            wishes["as_of"] = parsed_moment(options["as_of"])
        with opened_job(home, environment, overrides, master, **wishes) as job:
            results = run_steps(job, steps, console)
        if as_json:
            click.echo(json.dumps({r.step: {"status": r.status, **r.record} for r in results}, default=str))

    example = f"freshet {name} --home .freshet"
    decorated: Callable[..., Any] = _shared(work)
    if name == "ingest":
        decorated = click.option("--input", "input_path", type=click.Path(path_type=Path), required=True,
                                 help="File or folder of raw data.")(decorated)  # fmt: skip
        decorated = click.option("--source", type=click.Path(path_type=Path), required=True,
                                 help="Mapping of the source (TOML).")(decorated)  # fmt: skip
        example = "freshet ingest --source my_shop.toml --input events/"
    if name == "build":
        decorated = click.option("--as-of", "as_of", help="Moment the run stands at, UTC.")(decorated)
        decorated = click.option("--live-days", type=click.IntRange(min=0), help="Days kept for the live part.")(
            decorated
        )
        example = "freshet build --as-of 2011-12-09 --live-days 30"
    return click.command(name=name, help=f"{_STEP_HELP[name]}\n\n\b\nExample:\n  {example}")(decorated)


STEP_COMMANDS = [_step_command(name) for name in _STEP_HELP]
