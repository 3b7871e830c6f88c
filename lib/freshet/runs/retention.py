"""What is kept of models: files of versions that neither serve nor are new go."""

import shutil
from contextlib import suppress
from datetime import timedelta

from freshet.contracts import ITEM_FACTORS, USER_FACTORS
from freshet.core.errors import BusyError
from freshet.ranking.availability import drop_unused
from freshet.registry.retention import retire
from freshet.runs.job import Job
from freshet.runs.registered_models import PROPENSITY, RECOMMENDER, SEGMENTS, registry
from freshet.runs.steps import TRAIN_RECOMMENDER
from freshet.tables.leases import table_leases
from freshet.tables.maintenance import operations as hygiene

_UNUSED = timedelta(days=1)
"""Age of files of items that cannot be had which nobody uses. A stream marks its own with every look at the states."""


def retired(job: Job) -> dict[str, list[int]]:
    """Removes old versions of every model with their rows of factors, fits for the gate of versions that are gone, and
    unused files of items that could not be had; the numbers of the versions that went, by model."""
    store = registry(job)
    gone = {
        name: retire(store, name, keep=job.settings.compaction.model_versions)
        for name in (RECOMMENDER, PROPENSITY, SEGMENTS)
    }
    _drop_fits(job)
    drop_unused(job.home.availability, before=job.now() - _UNUSED)
    _drop_factors(job)
    return {name: numbers for name, numbers in gone.items() if numbers}


def _drop_factors(job: Job) -> None:
    """Those of versions that are gone. Left to the next call while a training writes these tables."""
    known = {version.version for version in registry(job).versions(RECOMMENDER)}
    tables = (ITEM_FACTORS, USER_FACTORS)
    with suppress(BusyError), table_leases(job.home.locks, [table.name for table in tables]):
        for table in tables:
            held = hygiene.partition_values(job.warehouse, table, "model_version")
            old = [name for name in held if int(name.split(".")[0]) not in known]
            hygiene.drop_values(job.warehouse, table, "model_version", old)


def _drop_fits(job: Job) -> None:
    """What trainings left whose version is gone; one that runs has none yet, and what it makes is young."""
    known = {version.fingerprint for version in registry(job).versions(RECOMMENDER)}
    record = job.home.steps / f"{TRAIN_RECOMMENDER.name}.json"
    for left in (*job.home.artifacts.glob("*-ch*"), *job.home.artifacts.glob("*-search.json")):
        # A training that ends meanwhile removes the record of its search itself.
        with suppress(FileNotFoundError):
            is_old = record.is_file() and left.stat().st_mtime < record.stat().st_mtime
            if left.name.rpartition("-")[0] not in known and is_old:
                shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink()
