"""Step ingest as the main job runs it, with the source and files of the options."""

import dataclasses
from pathlib import Path
from typing import Any

from freshet.core.errors import InputError
from freshet.pipeline.ingestion.ingest import ingest, ingest_inputs
from freshet.runs.job import Job


def _source_and_input(job: Job) -> tuple[Path, Path]:
    if job.source is None or job.input_path is None:
        raise InputError("source and input are needed to ingest", do="Give --source MAPPING.toml and --input FILE")
    return job.source, job.input_path


def inputs(job: Job) -> dict[str, Any]:
    """The mapping and the content of all files."""
    return ingest_inputs(*_source_and_input(job))


def work(job: Job, fingerprint: str) -> dict[str, Any]:
    """Ingests the files; records the report."""
    source, input_path = _source_and_input(job)
    report = ingest(
        job.spark, job.home, source=source, input_path=input_path, params=job.settings.cleaning, now=job.now(),
        as_of=job.as_of, warehouse=job.warehouse,
    )  # fmt: skip
    return dataclasses.asdict(report)
