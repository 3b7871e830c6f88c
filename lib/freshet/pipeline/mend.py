"""Step mend: refused records of a topic taken in again, by a mended mapping."""

from functools import partial
from pathlib import Path
from typing import Any

from pyspark.sql import functions as F

from freshet.cleaning.parsing import PLACE
from freshet.contracts import EVENTS, QUARANTINE
from freshet.core.errors import InputError
from freshet.runs.job import Job, Step
from freshet.service.intake.mended import is_open, marked, mended_events
from freshet.sources.mapping import read_mapping
from freshet.tables.sql import literal


def mending(topic: str) -> Step:
    """The step for the records of a topic; the job's source is the mapping of the stream that took them in."""
    return Step(
        name="mend",
        after=(),
        writes=(EVENTS, QUARANTINE),
        reads=(EVENTS, QUARANTINE),
        sections=("cleaning",),
        inputs=partial(_inputs, topic),
        work=partial(_work, topic),
    )


def _inputs(topic: str, job: Job) -> dict[str, Any]:
    # By the time too: what was dated in the future is not for ever.
    return {"topic": topic, "mapping": _source(job).read_text(encoding="utf-8"), "at": job.now().isoformat()}


def _source(job: Job) -> Path:
    if job.source is None:
        raise InputError("a source is needed", do="Give --source MAPPING.toml")
    return job.source


def _work(topic: str, job: Job, fingerprint: str) -> dict[str, Any]:
    mapping, warehouse = read_mapping(_source(job)), job.warehouse
    for table in (QUARANTINE, EVENTS):
        warehouse.require(table)
    refused = warehouse.read(QUARANTINE).where(is_open(mapping.name, topic))
    # Once: what is counted and what is written would else be judged at two times.
    mended = mended_events(refused, warehouse.read(EVENTS), mapping, job.settings.cleaning).persist()
    try:
        if mended.count():
            warehouse.append(mended, EVENTS)
    finally:
        mended.unpersist()
    # By what stands in the tables, so that a run that was killed between the two is finished by the next.
    own = F.col("source") == mapping.name
    standing = warehouse.read(EVENTS).where(own)
    became = refused.join(standing.select(*PLACE), on=list(PLACE), how="left_semi").count()
    if became:
        rows = marked(warehouse.read(QUARANTINE).where(own), standing)
        warehouse.replace(rows, QUARANTINE, where=f"source = {literal(mapping.name)}")
    return {"mended": became, "refused": warehouse.read(QUARANTINE).where(is_open(mapping.name, topic)).count()}
