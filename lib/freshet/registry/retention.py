"""Retention of model versions: which old ones may be removed, and their removal."""

import shutil
from pathlib import Path

from freshet.registry.store import artifact_folder
from freshet.registry.versions import ModelVersion, Registry

_MINORS_KEPT = 2
"""The one that serves and the previous one, which a running micro-batch may still use."""

_CHAMPIONS_KEPT = 2
"""The champion and the version that a roll-back would return to."""


def to_retire(versions: list[ModelVersion], *, champion: int | None, challenger: int | None, keep: int) -> list[int]:
    """Numbers of the versions that may be removed, oldest first: not the newest `keep`, the one that serves, the one
    that waits for the gate, or the previous champion."""
    newest = {version.version for version in versions[-keep:]}
    served = sorted((v for v in versions if v.generation), key=lambda v: v.generation)[-_CHAMPIONS_KEPT:]
    kept = newest | {version.version for version in served} | {champion, challenger}
    return [version.version for version in versions if version.version not in kept]


def retire(store: Registry, name: str, *, keep: int) -> list[int]:
    """Removes old versions of a model with their files, and replaced minor versions. Returns the removed numbers.

    The runs are kept with their settings and metrics. If it is killed, the next call completes it.
    """
    versions, champion, challenger = store.versions(name), store.champion(name), store.challenger(name)
    number_of = {version: None if version is None else version.version for version in (champion, challenger)}
    removed = to_retire(versions, champion=number_of[champion], challenger=number_of[challenger], keep=keep)
    for version in versions:
        if version.version in removed:
            # Files first: a version without files would be found again, files without a version would not.
            shutil.rmtree(artifact_folder(store.folder, version.run_id), ignore_errors=True)
            _drop_minors(store, version, above=version.minor)
            store.delete(name, version.version)
        else:
            drop_old_minors(store, version)
    return removed


def drop_old_minors(store: Registry, version: ModelVersion) -> None:
    """Removes the files of replaced minor versions except the newest of them."""
    _drop_minors(store, version, above=version.minor - _MINORS_KEPT)


def _drop_minors(store: Registry, version: ModelVersion, *, above: int) -> None:
    for minor in range(above, 0, -1):
        folder: Path = store.minor_folder(version.name, version.version, minor)
        if not folder.is_dir():
            return
        shutil.rmtree(folder)
