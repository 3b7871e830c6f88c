"""Step items: ingests states of items (prices, stock, availability) from a catalogue file.

A running stream leaves out unavailable items after its next check of the table.
"""

from pathlib import Path
from typing import Any

from pyspark.sql import functions as F

from freshet.cleaning.items import catalogue_items, items_history
from freshet.cleaning.meaning import mapping_meaning
from freshet.contracts import ITEMS_HISTORY
from freshet.contracts.events import ITEM_STATE
from freshet.core.errors import InputError, MappingError
from freshet.pipeline.ingestion.source_records import catalogue_records
from freshet.runs.job import Job
from freshet.sources.input_files import input_files, input_signature
from freshet.sources.mapping import read_mapping
from freshet.sources.rules import Catalogue


def named_catalogue(source: Path, input_path: Path) -> tuple[Catalogue, tuple[str, ...], list[Path]]:
    """The mapping's catalogue, its null values, and the files. Raises MappingError and InputError."""
    mapping = read_mapping(source)
    if mapping.catalogue is None:
        raise MappingError("the mapping has no catalogue", where=str(source), do="Add a section [items.catalogue]")
    return mapping.catalogue, mapping.null_values, input_files(input_path, mapping.catalogue.input)


def _source_and_input(job: Job) -> tuple[Path, Path]:
    if job.source is None or job.input_path is None:
        raise InputError("source and input are needed", do="Give --source MAPPING.toml and --input FILE")
    return job.source, job.input_path


def inputs(job: Job) -> dict[str, Any]:
    """The mapping and the content of the file."""
    source, input_path = _source_and_input(job)
    signed = input_signature(named_catalogue(source, input_path)[2])
    return {"mapping": mapping_meaning(read_mapping(source)), "files": sorted(signed.values())}


def work(job: Job, fingerprint: str) -> dict[str, Any]:
    """Merges the states of the file into the history of items; records how many have changed."""
    source, input_path = _source_and_input(job)
    catalogue, null_values, _ = named_catalogue(source, input_path)
    raw = catalogue_records(job.spark, input_path, catalogue)
    now = F.lit(job.now()).cast("timestamp")
    items = catalogue_items(raw, catalogue, null_values)
    states = items.select(
        "item_id", now.alias("valid_from"), F.lit(None).cast("timestamp").alias("valid_to"), now.alias("known_at"),
        *ITEM_STATE[1:],
    )  # fmt: skip
    job.warehouse.create(ITEMS_HISTORY)
    stored = job.warehouse.read(ITEMS_HISTORY)
    before = stored.count()
    job.warehouse.replace(items_history(states, stored=stored), ITEMS_HISTORY)
    return {"changed": job.warehouse.read(ITEMS_HISTORY).count() - before}
