"""Step report: writes one HTML page about the run, from records and tables."""

from pathlib import Path
from typing import Any

from freshet.core.records import read_record, write_whole
from freshet.report.collect.page import collected
from freshet.report.collect.sources import Sources
from freshet.report.page.rendering import rendered
from freshet.runs.home import Home
from freshet.runs.job import Job
from freshet.runs.registered_models import PROPENSITY, RECOMMENDER, SEGMENTS, champion
from freshet.runs.registry import main_steps
from freshet.runs.step import Step
from freshet.runs.steps import REPORT


def _reported_steps() -> list[Step]:
    """The other steps of the main job, whose records the page shows."""
    return [step for step in main_steps() if step.name != REPORT.name]


def page_path(home: Home) -> Path:
    """The file of a home's report."""
    return home.report / "index.html"


def _champions(job: Job) -> dict[str, int]:
    served = {name: champion(job, name) for name in (RECOMMENDER, PROPENSITY, SEGMENTS)}
    return {name: version.version for name, version in served.items() if version is not None}


def inputs(job: Job) -> dict[str, Any]:
    """The records of the other steps, the champions, and whether the page exists."""
    records = {step.name: read_record(job.home.steps, step.name) for step in _reported_steps()}
    was_written = read_record(job.home.steps, REPORT.name) is not None
    return {
        "records": {name: record and record["fingerprint"] for name, record in records.items()},
        "champions": _champions(job),
        # A page that was removed is written again.
        "is_gone": was_written and not page_path(job.home).is_file(),
    }


def work(job: Job, fingerprint: str) -> dict[str, Any]:
    """Writes the page."""
    sources = Sources(job.home, _champions(job), job.settings.gate.k)
    page = collected(sources, _reported_steps(), job.now())
    write_whole(page_path(job.home), rendered(page))
    return {"page": "index.html"}
