"""Step report: one HTML page about the run, from records and tables."""

from pathlib import Path
from typing import Any

from freshet.contracts import (
    EVALUATION_RESULTS,
    EVENTS,
    ITEMS_HISTORY,
    RECOMMENDATION_UPDATES,
    RECOMMENDATIONS,
    SEGMENT_PROFILES,
    STREAM_METRICS,
    USER_FEATURES,
    USER_SCORES,
    USER_SEGMENTS,
)
from freshet.core.records import read_record, write_whole
from freshet.report.collect.page import collected
from freshet.report.collect.sources import Sources
from freshet.report.page.rendering import rendered
from freshet.runs.home import Home
from freshet.runs.job import Job, Step
from freshet.runs.registered_models import PROPENSITY, RECOMMENDER, SEGMENTS, champion
from freshet.runs.titles import TITLES

_TOLD = [name for name in TITLES if name != "report"]


def page_path(home: Home) -> Path:
    """Where the report of a home lies."""
    return home.report / "index.html"


def _champions(job: Job) -> dict[str, int]:
    served = {name: champion(job, name) for name in (RECOMMENDER, PROPENSITY, SEGMENTS)}
    return {name: version.version for name, version in served.items() if version is not None}


def _inputs(job: Job) -> dict[str, Any]:
    records = {name: read_record(job.home.steps, name) for name in _TOLD}
    was_written = read_record(job.home.steps, "report") is not None
    return {
        "records": {name: record and record["fingerprint"] for name, record in records.items()},
        "champions": _champions(job),
        # A page that somebody removed is written again.
        "is_gone": was_written and not page_path(job.home).is_file(),
    }


def _work(job: Job, fingerprint: str) -> dict[str, Any]:
    sources = Sources(job.home, _champions(job), job.settings.gate.k)
    page = collected(sources, [(name, TITLES[name]) for name in _TOLD], job.now())
    write_whole(page_path(job.home), rendered(page))
    return {"page": "index.html"}


REPORT = Step(
    name="report",
    after=("replay", "evaluate"),
    writes=(),
    reads=(
        EVENTS, ITEMS_HISTORY, USER_FEATURES, RECOMMENDATIONS, RECOMMENDATION_UPDATES, USER_SCORES, USER_SEGMENTS,
        SEGMENT_PROFILES, EVALUATION_RESULTS, STREAM_METRICS,
    ),
    sections=("gate",),
    inputs=_inputs,
    work=_work,
)  # fmt: skip
