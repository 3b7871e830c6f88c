"""What is kept of models: files of versions that neither serve nor are new go."""

import contextlib
import shutil

from freshet.registry.retention import retire
from freshet.runs.job import Job
from freshet.runs.registered_models import PROPENSITY, RECOMMENDER, SEGMENTS, registry
from freshet.runs.steps import TRAIN_RECOMMENDER

_AVAILABILITY_KEPT = 3
"""A micro-batch may hold the file before the newest."""


def retired(job: Job) -> dict[str, list[int]]:
    """Removes old versions of every model, fits for the gate of versions that are gone, and old files of items that
    could not be had; the numbers of the versions that went, by model."""
    store = registry(job)
    gone = {
        name: retire(store, name, keep=job.settings.compaction.model_versions)
        for name in (RECOMMENDER, PROPENSITY, SEGMENTS)
    }
    _drop_fits(job)
    files = sorted(job.home.availability.glob("*.arrow"), key=lambda file: file.stat().st_mtime)
    for file in files[:-_AVAILABILITY_KEPT]:
        file.unlink(missing_ok=True)
    return {name: numbers for name, numbers in gone.items() if numbers}


def _drop_fits(job: Job) -> None:
    """What trainings left whose version is gone; one that runs has none yet, and what it makes is young."""
    known = {version.fingerprint for version in registry(job).versions(RECOMMENDER)}
    record = job.home.steps / f"{TRAIN_RECOMMENDER.name}.json"
    for left in (*job.home.artifacts.glob("*-ch*"), *job.home.artifacts.glob("*-search.json")):
        # A training that ends meanwhile removes the record of its search itself.
        with contextlib.suppress(FileNotFoundError):
            is_old = record.is_file() and left.stat().st_mtime < record.stat().st_mtime
            if left.name.rpartition("-")[0] not in known and is_old:
                shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink()
