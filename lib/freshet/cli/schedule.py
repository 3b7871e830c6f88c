"""freshet jobs: every job script with its schedule and its spark-submit line; conf/jobs.toml is generated from them."""

import json
from typing import Any

import click
from rich.table import Table

from freshet.cli.options import json_option
from freshet.cli.output import Output, echo_file, echo_json
from freshet.runs.registry import JobScript, job_scripts

_HEAD = """\
# Every job: when it runs, what must have succeeded before, what it needs. `schedule` is cron in UTC; a scheduler
# renders each as the spark-submit line of scripts/submit.sh. `after`: as soon as the jobs before it have succeeded.
# `always`: a service, kept running and started again. `by hand`: not scheduled. Each table has one writer: where
# stream_events fills `events`, ingest and main_job stay out.
# Made by `freshet jobs --toml` from the declarations of the steps, where the reasons are. Change them there.
"""


def scheduled_jobs() -> dict[str, dict[str, Any]]:
    """What a scheduler needs to know about each job script, by name."""
    return {name: _as_data(script) for name, script in job_scripts().items()}


def _as_data(script: JobScript) -> dict[str, Any]:
    schedule, resources = script.schedule, script.schedule.resources
    return {
        "schedule": schedule.when,
        "after": list(script.after),
        "master": schedule.master,
        "driver_memory": resources.driver_memory,
        "executors": resources.executors,
        "executor_cores": resources.executor_cores,
        "executor_memory": resources.executor_memory,
        "arguments": list(schedule.arguments),
    }


def jobs_file() -> str:
    """The text of conf/jobs.toml."""
    parts = [_HEAD]
    for name, job in scheduled_jobs().items():
        # Strings, whole numbers and lists of strings are written the same in TOML and JSON.
        lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in job.items()]
        parts.append("\n".join([f"[{name}]", *lines, ""]))
    return "\n".join(parts)


def submit_line(name: str, job: dict[str, Any]) -> list[str]:
    """The arguments of scripts/submit.sh for a job; words in capitals are placeholders for the scheduler's values."""
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
@click.option("--toml", "as_toml", is_flag=True, help="Print the text of conf/jobs.toml.")
def jobs(as_json: bool, as_toml: bool) -> None:
    """List every job with schedule, dependencies and submit line, for use in a scheduler.

    \b
    Examples:
      freshet jobs
      freshet jobs --json
    """
    if as_toml:
        echo_file(jobs_file())
        return
    known = scheduled_jobs()
    if as_json:
        lines = {name: {**job, "submit": submit_line(name, job)} for name, job in known.items()}
        echo_json(lines, indent=1)
        return
    shown = Table("job", "schedule (UTC)", "after", "submit line", title="Jobs", title_justify="left")
    for name, job in known.items():
        shown.add_row(name, job["schedule"], ", ".join(job["after"]), " ".join(submit_line(name, job)))
    Output().print(shown)
