"""Step mend: refused records of a topic taken in again, by a mended mapping."""

from pathlib import Path
from typing import Any

from pyspark.sql import functions as F

from freshet.cleaning.parsing import PLACE
from freshet.contracts import EVENTS, QUARANTINE
from freshet.core.errors import InputError
from freshet.runs.job import Job
from freshet.service.intake.mended import is_open, marked, mended_events
from freshet.sources.mapping import read_mapping
from freshet.tables.format.sql import literal


def inputs(job: Job) -> dict[str, Any]:
    """The topic, the mapping and the time."""
    # By the time too: what was dated in the future is not for ever.
    source, topic = _wished(job)
    return {"topic": topic, "mapping": source.read_text(encoding="utf-8"), "at": job.now().isoformat()}


def _wished(job: Job) -> tuple[Path, str]:
    """The mapping of the stream that took the records in, and their topic."""
    if job.source is None or job.topic is None:
        raise InputError("source and topic are needed", do="Give --source MAPPING.toml and --topic TOPIC")
    return job.source, job.topic


def work(job: Job, fingerprint: str) -> dict[str, Any]:
    """Takes the refused records in; keeps how many became events and how many are refused still."""
    source, topic = _wished(job)
    mapping, warehouse = read_mapping(source), job.warehouse
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
