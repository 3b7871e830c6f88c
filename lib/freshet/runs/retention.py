"""Retention of models: removes the files of versions that neither serve nor are new."""

import shutil
from contextlib import suppress
from datetime import timedelta

from freshet.contracts import ITEM_FACTORS, USER_FACTORS
from freshet.core.errors import BusyError
from freshet.registry.retention import retire
from freshet.rules.compiled import drop_unused
from freshet.runs.job import Job
from freshet.runs.registered_models import PROPENSITY, RECOMMENDER, SEGMENTS, registry
from freshet.runs.steps import TRAIN_RECOMMENDER
from freshet.tables.leases import table_leases
from freshet.tables.maintenance import operations

_UNUSED = timedelta(days=1)
"""Age at which unused compiled rules are removed. A stream touches its own at every check of the tables."""


def retire_old_versions(job: Job) -> dict[str, list[int]]:
    """Removes old versions of every model with their rows of factors, the gate's fits of removed versions, and unused
    compiled rules. Returns the numbers of the removed versions, by model."""
    store = registry(job)
    removed = {
        name: retire(store, name, keep=job.settings.compaction.model_versions)
        for name in (RECOMMENDER, PROPENSITY, SEGMENTS)
    }
    _drop_fits(job)
    drop_unused(job.home.rules, before=job.now() - _UNUSED)
    _drop_factors(job)
    return {name: numbers for name, numbers in removed.items() if numbers}


def _drop_factors(job: Job) -> None:
    """Removes factors of removed versions. Left to the next call while a training run writes these tables."""
    known = {version.version for version in registry(job).versions(RECOMMENDER)}
    tables = (ITEM_FACTORS, USER_FACTORS)
    with suppress(BusyError), table_leases(job.home.locks, [table.name for table in tables]):
        for table in tables:
            held = operations.partition_values(job.warehouse, table, "model_version")
            old = [name for name in held if int(name.split(".")[0]) not in known]
            operations.drop_values(job.warehouse, table, "model_version", old)


def _drop_fits(job: Job) -> None:
    """Removes what training runs of removed versions left. A running one has no version yet, but its files are new."""
    known = {version.fingerprint for version in registry(job).versions(RECOMMENDER)}
    record = job.home.steps / f"{TRAIN_RECOMMENDER.name}.json"
    for path in (*job.home.artifacts.glob("*-ch*"), *job.home.artifacts.glob("*-search.json")):
        # A training run that ends in the meantime removes the record of its search itself.
        with suppress(FileNotFoundError):
            is_old = record.is_file() and path.stat().st_mtime < record.stat().st_mtime
            if path.name.rpartition("-")[0] not in known and is_old:
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink()
