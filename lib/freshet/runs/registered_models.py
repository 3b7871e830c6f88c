"""The registered models of a home, and the folders of their artifacts."""

from functools import lru_cache
from pathlib import Path

from freshet.core.errors import DataTooSmallError
from freshet.registry.versions import ModelVersion, Registry
from freshet.runs.home import Home
from freshet.runs.job import Job
from freshet.runs.steps import TRAIN_PROPENSITY, TRAIN_RECOMMENDER, TRAIN_SEGMENTS

RECOMMENDER = "freshet-recommender"
PROPENSITY = "freshet-propensity"
SEGMENTS = "freshet-segments"

TRAINED_BY = {RECOMMENDER: TRAIN_RECOMMENDER, PROPENSITY: TRAIN_PROPENSITY, SEGMENTS: TRAIN_SEGMENTS}
"""The models, each with the step that trains it."""

SCORING = "scoring"
"""Folder of the scoring artifact among a run's artifacts."""


@lru_cache(maxsize=4)
def _registry(folder: Path) -> Registry:
    return Registry(folder)


def registry(job: Job) -> Registry:
    """The home's registry, opened once per process."""
    return _registry(job.home.mlflow)


def champion(job: Job, name: str) -> ModelVersion | None:
    """The version of a model that serves, None before the first promotion."""
    return registry(job).champion(name)


def champion_facts(job: Job, name: str) -> dict[str, int] | None:
    """Version, minor and generation of the champion, for fingerprints."""
    found = champion(job, name)
    if found is None:
        return None
    return {"version": found.version, "minor": found.minor, "generation": found.generation}


def trained_on_other_columns(version: ModelVersion, columns: str) -> DataTooSmallError:
    """The error for a champion that cannot be applied to the current data."""
    return DataTooSmallError(
        f"version {version.model_version} was trained on {columns}",
        do="Run `freshet train` and `freshet promote` again",
    )


def validation_folder(home: Home, fingerprint: str, name: str) -> Path:
    """The folder or file that one training run leaves: recipes fitted as of the validation cut (challenger, champion),
    and the record of its search while it runs."""
    return home.artifacts / f"{fingerprint}-{name}"
