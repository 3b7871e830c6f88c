"""The steps of the main job, each alone."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from freshet.cli.opening import opened_job
from freshet.cli.options import job_options, parsed_moment, run_console
from freshet.cli.progress import run_with_progress
from freshet.pipeline.main_job import MAIN_STEPS

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


def _step_command(name: str) -> click.Command:
    steps = [step for step in MAIN_STEPS if step.name == name or step.name.startswith(f"{name}-")]

    def work(
        home: Path, environment: str | None, overrides: tuple[str, ...], master: str, as_json: bool, **options: Any
    ) -> None:
        console = run_console(as_json)
        request: dict[str, Any] = {key: options[key] for key in ("source", "input_path", "live_days") if key in options}
        if "as_of" in options:
            request["as_of"] = parsed_moment(options["as_of"])
        with opened_job(home, environment, overrides, master, must_exist=name != "ingest", **request) as job:
            results = run_with_progress(job, steps, console)
        if as_json:
            click.echo(json.dumps({r.step: {"status": r.status, **r.record} for r in results}, default=str))

    example = f"freshet {name} --home .freshet"
    decorated: Callable[..., Any] = job_options(work)
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


STEP_COMMANDS = {name: _step_command(name) for name in _STEP_HELP}
"""By name."""
