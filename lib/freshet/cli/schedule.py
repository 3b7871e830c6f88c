"""freshet jobs: every scheduled job with its spark-submit line, from conf/jobs.toml."""

import json
import tomllib
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from freshet.cli.options import json_option
from freshet.runs.settings import conf_folder


def scheduled_jobs() -> dict[str, dict[str, Any]]:
    """conf/jobs.toml, by job name."""
    return tomllib.loads(conf_folder().joinpath("jobs.toml").read_text(encoding="utf-8"))


def submit_line(name: str, job: dict[str, Any]) -> list[str]:
    """The arguments of scripts/submit.sh for a job; words in capitals stand for the scheduler's
    own values."""
    resources = {
        "spark.driver.memory": job["driver_memory"],
        "spark.executor.instances": job["executors"],
        "spark.executor.cores": job["executor_cores"],
        "spark.executor.memory": job["executor_memory"],
    }
    settings = [part for key, value in resources.items() for part in ("--conf", f"{key}={value}")]
    return ["scripts/submit.sh", name, "--master", job["master"], *settings, *job["arguments"]]


@click.command()
@json_option
def jobs(as_json: bool) -> None:
    """Every job with schedule, dependencies and its submit line, for a scheduler to take over.

    \b
    Examples:
      freshet jobs
      freshet jobs --json
    """
    known = scheduled_jobs()
    if as_json:
        lines = {name: {**job, "submit": submit_line(name, job)} for name, job in known.items()}
        click.echo(json.dumps(lines, indent=1))
        return
    shown = Table("job", "schedule (UTC)", "after", "submit line", title="Jobs", title_justify="left")
    for name, job in known.items():
        shown.add_row(name, job["schedule"], ", ".join(job["after"]), " ".join(submit_line(name, job)))
    Console(highlight=False).print(shown)
