"""Old versions of models: which may go, and their going."""

import shutil
from pathlib import Path

from freshet.registry.store import artifact_folder
from freshet.registry.versions import ModelVersion, Registry

_MINORS_KEPT = 2
"""The one that serves and the one before it, which a micro-batch may have just started with."""

_CHAMPIONS_KEPT = 2
"""The champion and the one that a roll-back would go to."""


def to_retire(versions: list[ModelVersion], *, champion: int | None, challenger: int | None, keep: int) -> list[int]:
    """Numbers of the versions that may go, oldest first: none of the newest `keep`, none that serves, waits for the
    gate, or served last before the champion."""
    newest = {version.version for version in versions[-keep:]}
    served = sorted((v for v in versions if v.generation), key=lambda v: v.generation)[-_CHAMPIONS_KEPT:]
    stays = newest | {version.version for version in served} | {champion, challenger}
    return [version.version for version in versions if version.version not in stays]


def retire(store: Registry, name: str, *, keep: int) -> list[int]:
    """Removes old versions of a model with their files, and minor versions that were replaced; their numbers.

    The runs stay with their settings and figures. Killed in the middle, it is ended by the next call.
    """
    versions, champion, challenger = store.versions(name), store.champion(name), store.challenger(name)
    number_of = {version: None if version is None else version.version for version in (champion, challenger)}
    gone = to_retire(versions, champion=number_of[champion], challenger=number_of[challenger], keep=keep)
    for version in versions:
        if version.version in gone:
            # Files first: a version without them would be found again, files without a version never.
            shutil.rmtree(artifact_folder(store.folder, version.run_id), ignore_errors=True)
            _drop_minors(store, version, above=version.minor)
            store.delete(name, version.version)
        else:
            drop_old_minors(store, version)
    return gone


def drop_old_minors(store: Registry, version: ModelVersion) -> None:
    """Removes the files of minor versions that were replaced, but for the newest of them."""
    _drop_minors(store, version, above=version.minor - _MINORS_KEPT)


def _drop_minors(store: Registry, version: ModelVersion, *, above: int) -> None:
    for minor in range(above, 0, -1):
        folder: Path = store.minor_folder(version.name, version.version, minor)
        if not folder.is_dir():
            return
        shutil.rmtree(folder)
