"""Step mend: refused records of a stream taken in again, by a mended mapping."""

from pathlib import Path
from typing import Any

from pyspark.sql import functions as F

from freshet.cleaning.parsing import PLACE
from freshet.cleaning.source import read_mapping
from freshet.contracts import EVENTS, QUARANTINE
from freshet.errors import InputError
from freshet.steps.job import Job, Step
from freshet.storage.sql import literal
from freshet.streaming.mended import is_open, marked, mended_events


def _source(job: Job) -> Path:
    if job.source is None:
        raise InputError("a source is needed", do="Give --source MAPPING.toml")
    return job.source


def _inputs(job: Job) -> dict[str, Any]:
    return {"mapping": _source(job).read_text(encoding="utf-8")}


def _work(job: Job, fingerprint: str) -> dict[str, Any]:
    mapping = read_mapping(_source(job))
    warehouse, own = job.warehouse, F.col("source") == mapping.name
    for table in (QUARANTINE, EVENTS):
        warehouse.require(table)
    refused, events = warehouse.read(QUARANTINE).where(own), warehouse.read(EVENTS)
    # Once: what is counted and what is written would else be judged at two times.
    mended = mended_events(refused, events, mapping, job.settings.cleaning).persist()
    try:
        if mended.count():
            warehouse.append(mended, EVENTS)
    finally:
        mended.unpersist()
    # By what stands in the tables, so that a run that was killed between the two is finished by the next.
    standing = warehouse.read(EVENTS).where(own)
    became = refused.where(is_open()).join(standing.select(*PLACE), on=list(PLACE), how="left_semi").count()
    if became:
        warehouse.replace(marked(refused, standing), QUARANTINE, where=f"source = {literal(mapping.name)}")
    return {"mended": became, "refused": warehouse.read(QUARANTINE).where(own & is_open()).count()}


MEND = Step(
    name="mend",
    after=(),
    writes=(EVENTS, QUARANTINE),
    reads=(EVENTS, QUARANTINE),
    sections=("cleaning",),
    inputs=_inputs,
    work=_work,
)
