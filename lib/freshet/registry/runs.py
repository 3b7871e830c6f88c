"""Training runs in MLflow: the fitted models with their tables, settings and metrics."""

import fcntl
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyspark.ml import PipelineModel

from freshet.registry.code_version import code_version
from freshet.registry.store import artifact_folder, as_freshet_error, experiment_id

if TYPE_CHECKING:
    from mlflow.entities import Param
    from mlflow.tracking import MlflowClient

FINGERPRINT, NAME, CODE = "freshet.fingerprint", "freshet.model", "mlflow.source.git.commit"
_LOCKS = "running"
_PARAM_LENGTH = 6000
"""MLflow refuses longer parameter values."""


class TrainingRun:
    """The handle of one run, made by `Registry.training_run`. Everything logged is stored immediately."""

    def __init__(self, client: "MlflowClient", folder: Path, run_id: str, fingerprint: str) -> None:
        self._client, self._folder = client, folder
        self.run_id, self.fingerprint = run_id, fingerprint

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Records settings as text, nested ones as JSON. MLflow raises an error if a value is changed later."""
        with as_freshet_error(self._folder):
            self._client.log_batch(self.run_id, params=_as_params(params))

    def log_metrics(self, metrics: Mapping[str, float | None]) -> None:
        """Records metrics; nulls are left out."""
        from mlflow.entities import Metric
        from mlflow.utils.time import get_current_time_millis

        now = get_current_time_millis()
        entries = [Metric(key, float(value), now, 0) for key, value in metrics.items() if value is not None]
        with as_freshet_error(self._folder):
            self._client.log_batch(self.run_id, metrics=entries)

    def log_trials(self, trials: Sequence[Mapping[str, Any]]) -> None:
        """Adds a finished child run for each trial, with its settings and the metrics under its key `ndcg`."""
        from mlflow.entities import Metric
        from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
        from mlflow.utils.time import get_current_time_millis

        # While no other run starts: it would treat these runs, which are not locked, as orphans.
        with _start_lock(self._folder), as_freshet_error(self._folder):
            experiment = experiment_id(self._client, self._folder)
            for number, trial in enumerate(trials):
                now = get_current_time_millis()
                tags = {MLFLOW_PARENT_RUN_ID: self.run_id}
                run = self._client.create_run(experiment, run_name=f"trial {number}", tags=tags)
                figures = [
                    Metric(f"ndcg_{name}", float(value), now, 0)
                    for name, value in trial["ndcg"].items()
                    if value is not None
                ]
                params = _as_params({name: value for name, value in trial.items() if name != "ndcg"})
                self._client.log_batch(run.info.run_id, metrics=figures, params=params)
                self._client.set_terminated(run.info.run_id, "FINISHED")

    def log_inputs(self, tables: Mapping[str, int]) -> None:
        """Records the Delta tables that were read, by name, with their versions."""
        from mlflow.entities import Dataset, DatasetInput

        inputs = [
            DatasetInput(Dataset(name, f"version-{version}", "delta", json.dumps({"table": name, "version": version})))
            for name, version in tables.items()
        ]
        with as_freshet_error(self._folder):
            self._client.log_inputs(self.run_id, inputs)

    def log_text(self, text: str, path: str) -> None:
        """Stores a text (SVG, HTML, JSON) as artifact `path`."""
        with as_freshet_error(self._folder):
            self._client.log_text(self.run_id, text, path)

    def log_folder(self, folder: Path, path: str) -> None:
        """Copies the files of `folder` to artifact folder `path`."""
        with as_freshet_error(self._folder):
            self._client.log_artifacts(self.run_id, str(folder), path)

    def log_model(self, model: PipelineModel, path: str) -> None:
        """Stores a fitted Spark pipeline as artifact folder `path`, readable by `mlflow.spark` as well."""
        import mlflow.spark
        import pyspark

        with tempfile.TemporaryDirectory(dir=self._folder) as scratch, as_freshet_error(self._folder):
            mlflow.spark.save_model(
                model,
                f"{scratch}/model",
                # Without this MLflow loads the model in a new process to find its requirements: 16-25 s.
                pip_requirements=[f"pyspark=={pyspark.__version__}"],
                dfs_tmpdir=f"{scratch}/saving",
            )
            self._client.log_artifacts(self.run_id, f"{scratch}/model", path)

    def artifact(self, path: str) -> Path:
        """The local path of an artifact."""
        return artifact_folder(self._folder, self.run_id) / path


def _as_params(values: Mapping[str, Any]) -> "list[Param]":
    from mlflow.entities import Param

    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}
    return [Param(key, text[:_PARAM_LENGTH]) for key, text in texts.items()]


@contextmanager
def training_run(
    client: "MlflowClient",
    folder: Path,
    name: str,
    *,
    params: Mapping[str, Any],
    tags: Mapping[str, str],
    fingerprint: str,
) -> Iterator[TrainingRun]:
    """A run named `name`: FINISHED at the end of the block, FAILED if the block raises an error.

    First marks runs KILLED that a killed process left RUNNING.
    """
    all_tags = {**tags, NAME: name, FINGERPRINT: fingerprint, CODE: code_version()}
    with ExitStack() as alive:
        with _start_lock(folder):
            experiment = experiment_id(client, folder)
            _close_orphans(client, folder, experiment)
            run = client.create_run(experiment, run_name=name, tags=all_tags)
            handle = TrainingRun(client, folder, run.info.run_id, fingerprint)
            lock = _lock_path(folder, handle.run_id)
            fcntl.flock(alive.enter_context(lock.open("w")), fcntl.LOCK_EX)
        try:
            handle.log_params(params)
            yield handle
        except BaseException as error:
            client.set_terminated(handle.run_id, "FAILED" if isinstance(error, Exception) else "KILLED")
            raise
        else:
            client.set_terminated(handle.run_id, "FINISHED")
        finally:
            lock.unlink(missing_ok=True)


@contextmanager
def _start_lock(folder: Path) -> Iterator[None]:
    """Lets one run start at a time, across processes: a run that is not yet locked would look like an orphan."""
    locks = folder / _LOCKS
    locks.mkdir(exist_ok=True)
    with (locks / ".beginning").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def _lock_path(folder: Path, run_id: str) -> Path:
    return folder / _LOCKS / run_id


def _close_orphans(client: "MlflowClient", folder: Path, experiment: str) -> None:
    """Marks RUNNING runs KILLED whose process has ended, so that the kernel has released its lock."""
    for run in client.search_runs([experiment], "attributes.status = 'RUNNING'"):
        path = _lock_path(folder, run.info.run_id)
        # Checked again: a run that has ended since the search sets its status before it releases its lock.
        if not _held(path) and client.get_run(run.info.run_id).info.status == "RUNNING":
            client.set_terminated(run.info.run_id, "KILLED")
            path.unlink(missing_ok=True)


def _held(path: Path) -> bool:
    try:
        handle = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False
