"""Step mend: ingests refused records of a topic again, with a corrected mapping."""

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
    # The time, because events dated in the future can be accepted later.
    source, topic = _source_and_topic(job)
    return {"topic": topic, "mapping": source.read_text(encoding="utf-8"), "at": job.now().isoformat()}


def _source_and_topic(job: Job) -> tuple[Path, str]:
    """The mapping of the stream that read the records, and their topic."""
    if job.source is None or job.topic is None:
        raise InputError("source and topic are needed", do="Give --source MAPPING.toml and --topic TOPIC")
    return job.source, job.topic


def work(job: Job, fingerprint: str) -> dict[str, Any]:
    """Ingests the refused records; records how many became events and how many are still refused."""
    source, topic = _source_and_topic(job)
    mapping, warehouse = read_mapping(source), job.warehouse
    for table in (QUARANTINE, EVENTS):
        warehouse.require(table)
    refused = warehouse.read(QUARANTINE).where(is_open(mapping.name, topic))
    # Persisted: otherwise the counted and the written rows would be judged at two different times.
    mended = mended_events(refused, warehouse.read(EVENTS), mapping, job.settings.cleaning).persist()
    try:
        if mended.count():
            warehouse.append(mended, EVENTS)
    finally:
        mended.unpersist()
    # From the stored events, so that the next run completes one that was killed between the two tables.
    own = F.col("source") == mapping.name
    stored = warehouse.read(EVENTS).where(own)
    became = refused.join(stored.select(*PLACE), on=list(PLACE), how="left_semi").count()
    if became:
        rows = marked(warehouse.read(QUARANTINE).where(own), stored)
        warehouse.replace(rows, QUARANTINE, where=f"source = {literal(mapping.name)}")
    return {"mended": became, "refused": warehouse.read(QUARANTINE).where(is_open(mapping.name, topic)).count()}
