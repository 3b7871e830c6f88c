"""Registered models: their versions, which one is champion, and its generation."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyspark.ml import PipelineModel

from freshet.core.errors import StateError
from freshet.registry.runs import FINGERPRINT, TrainingRun, training_run
from freshet.registry.store import artifact_folder, as_freshet_error, open_client

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

CHAMPION, CHALLENGER = "champion", "challenger"
_GENERATION, _PATH, _MINOR = "freshet.generation", "freshet.path", "freshet.minor"
_REPLACED = "freshet.replaced_by_hand"
_MINORS = "scoring"
"""Folder of the artifacts of minor versions."""


@dataclass(frozen=True)
class ModelVersion:
    """One registered version. `folder` holds its artifact; `generation` is 0 if it was never champion.

    `minor` counts the artifacts made from it later, with the same model and more items; 0: as registered.
    `replaced_by_hand`: why somebody served another version in its place, until somebody chooses it again; else empty.
    """

    name: str
    version: int
    run_id: str
    fingerprint: str
    folder: Path
    generation: int
    minor: int = 0
    replaced_by_hand: str = ""

    @property
    def model_version(self) -> str:
        """The text of column model_version: registered version and minor."""
        return f"{self.version}.{self.minor}"


class Registry:
    """The model registry in `folder` (the home's mlflow folder); opened at the first use.

    Every method raises StateError if the store cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self._opening = threading.Lock()

    @property
    def _client(self) -> "MlflowClient":
        # Steps that train in parallel use it at the same time, and only one of them must create the schema.
        with self._opening:
            return self._opened

    @cached_property
    def _opened(self) -> "MlflowClient":
        return open_client(self.folder)

    @contextmanager
    def training_run(
        self, name: str, *, params: Mapping[str, Any], fingerprint: str, tags: Mapping[str, str] | None = None
    ) -> Iterator[TrainingRun]:
        """A run of model `name`: finished at the end of the block, failed if the block raises an error.

        `fingerprint` identifies what determines the result (data, settings, code). Runs left over from a killed process
        are marked as killed.
        """
        with training_run(
            self._client, self.folder, name, params=params, tags=tags or {}, fingerprint=fingerprint
        ) as run:
            yield run

    def register(self, name: str, run: TrainingRun, path: str) -> ModelVersion:
        """Registers artifact folder `path` of `run` as a version of model `name`; it becomes the challenger.

        An existing version of the same fingerprint is returned instead of a new one; if it is champion, it stays so.
        """
        found, champion = self.find(name, run.fingerprint), self.champion(name)
        with self._store_errors():
            if found is not None:
                if champion is None or champion.version != found.version:
                    self._client.set_registered_model_alias(name, CHALLENGER, str(found.version))
                return found
            if not self._client.search_registered_models(f"name = '{name}'"):
                self._client.create_registered_model(name)
            made = self._client.create_model_version(
                name,
                source=run.artifact(path).as_uri(),
                run_id=run.run_id,
                tags={FINGERPRINT: run.fingerprint, _PATH: path},
            )
            self._client.set_registered_model_alias(name, CHALLENGER, made.version)
        return self._as_version(made)

    def find(self, name: str, fingerprint: str) -> ModelVersion | None:
        """The version with this fingerprint, None if there is none. To be called before training."""
        return next((v for v in self.versions(name) if v.fingerprint == fingerprint), None)

    def versions(self, name: str) -> list[ModelVersion]:
        """All versions, oldest first; empty if there is no such model."""
        with self._store_errors():
            found = self._client.search_model_versions(f"name = '{name}'", max_results=10_000)
        return sorted((self._as_version(version) for version in found), key=lambda version: version.version)

    def champion(self, name: str) -> ModelVersion | None:
        """The version that serves, with its generation; None before the first promotion."""
        return self._by_alias(name, CHAMPION)

    def challenger(self, name: str) -> ModelVersion | None:
        """The version that waits for the gate; None if there is none."""
        return self._by_alias(name, CHALLENGER)

    def previous_champion(self, name: str) -> ModelVersion | None:
        """The version that served last before the champion; None if there is none, or it was removed."""
        champion = self.champion(name)
        if champion is None:
            return None
        served = [one for one in self.versions(name) if 0 < one.generation < champion.generation]
        return max(served, key=lambda one: one.generation, default=None)

    def promote(self, name: str, version: int) -> ModelVersion:
        """Makes `version` champion, also for a roll-back; it is then no longer challenger. No-op for the champion.

        Its generation becomes one more than the highest so far. The generation is written first and the alias is moved
        last, in one transaction of the database, so that readers see a champion with its own generation. Raises
        StateError if there is no such version.
        """
        versions = self.versions(name)
        if version not in [known.version for known in versions]:
            known = ", ".join(str(one.version) for one in versions) or "none"
            raise StateError("no such model version", where=name, expected=f"one of {known}", found=str(version))
        champion, challenger = self.champion(name), self.challenger(name)
        with self._store_errors():
            if champion is None or champion.version != version:
                generation = 1 + max(known.generation for known in versions)
                self._client.set_model_version_tag(name, str(version), _GENERATION, str(generation))
                self._client.set_registered_model_alias(name, CHAMPION, str(version))
            if challenger is not None and challenger.version == version:
                self._client.delete_registered_model_alias(name, CHALLENGER)
        promoted = self.champion(name)
        assert promoted is not None  # the alias was just set
        return promoted

    def choose(self, name: str, version: int, *, reason: str) -> ModelVersion:
        """`promote` on somebody's decision: the champion that it replaces is marked with the reason."""
        before = self.champion(name)
        self.set_version_tag(name, version, _REPLACED, "")
        if before is not None and before.version != version:
            self.set_version_tag(name, before.version, _REPLACED, reason)
        return self.promote(name, version)

    def minor_folder(self, name: str, version: int, minor: int) -> Path:
        """The folder for the artifact of a minor version, which is written completely before it is published."""
        return self.folder / _MINORS / name / f"{version}.{minor}"

    def publish_minor(self, name: str, version: int, minor: int) -> ModelVersion:
        """Makes the artifact in `minor_folder` that of the version. Raises StateError if it is missing."""
        folder = self.minor_folder(name, version, minor)
        if not folder.is_dir():
            raise StateError("the artifact of this minor version is missing", where=str(folder))
        self.set_version_tag(name, version, _MINOR, str(minor))
        return next(known for known in self.versions(name) if known.version == version)

    def first_folder(self, version: ModelVersion) -> Path:
        """The folder of the artifact that a version was registered with, whatever its current minor is."""
        with self._store_errors():
            found = self._client.get_model_version(version.name, str(version.version))
        return artifact_folder(self.folder, version.run_id) / found.tags[_PATH]

    def delete(self, name: str, version: int) -> None:
        """Removes a version from the registry; its run is kept."""
        with self._store_errors():
            self._client.delete_model_version(name, str(version))

    def refuse(self, name: str, version: int) -> None:
        """Removes the challenger alias from `version`, if it has it."""
        challenger = self.challenger(name)
        if challenger is not None and challenger.version == version:
            with self._store_errors():
                self._client.delete_registered_model_alias(name, CHALLENGER)

    def set_version_tag(self, name: str, version: int, key: str, value: str) -> None:
        """Sets a tag of a version."""
        with self._store_errors():
            self._client.set_model_version_tag(name, str(version), key, value)

    def trained_with(self, version: ModelVersion) -> dict[str, Any]:
        """The settings of a version's run by name: strings, or the values of strings that are JSON."""
        with self._store_errors():
            params = self._client.get_run(version.run_id).data.params
        return {name: _from_json(text) for name, text in params.items()}

    def load_spark_model(self, version: ModelVersion) -> PipelineModel:
        """The fitted Spark pipeline of a version. Raises StateError if its files were removed."""
        # MLflow's format has the pipeline in this folder; reading it directly needs neither a copy nor a run.
        saved = version.folder / "sparkml"
        if not saved.is_dir():
            raise StateError(
                f"the files of {version.name} version {version.version} are gone", where=str(version.folder)
            )
        # Hadoop uses the path after the scheme literally: a space must not be escaped.
        return PipelineModel.load(f"file:{saved}")

    def _by_alias(self, name: str, alias: str) -> ModelVersion | None:
        with self._store_errors():
            models = self._client.search_registered_models(f"name = '{name}'")
            version = models[0].aliases.get(alias) if models else None
            return None if version is None else self._as_version(self._client.get_model_version(name, str(version)))

    def _as_version(self, found: Any) -> ModelVersion:
        minor, version = int(found.tags.get(_MINOR, 0)), int(found.version)
        first = artifact_folder(self.folder, found.run_id) / found.tags[_PATH]
        return ModelVersion(
            name=found.name,
            version=version,
            run_id=found.run_id,
            fingerprint=found.tags[FINGERPRINT],
            folder=self.minor_folder(found.name, version, minor) if minor else first,
            generation=int(found.tags.get(_GENERATION, 0)),
            minor=minor,
            replaced_by_hand=found.tags.get(_REPLACED, ""),
        )

    def _store_errors(self) -> Any:
        self._client  # noqa: B018  # opens the store and imports MLflow, whose error classes are needed below
        return as_freshet_error(self.folder)


def _from_json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
