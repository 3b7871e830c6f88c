"""The MLflow store of one home: a SQLite database next to a folder of artifacts."""

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from freshet.core.errors import StateError

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

DATABASE, ARTIFACTS = "mlflow.db", "artifacts"
_EXPERIMENT = "freshet"

_QUIET = {
    # MLflow sends usage figures over the network unless told not to.
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # Its notes about making tables are no business of the user's.
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "DO_NOT_TRACK": "true",
    # GitPython complains on import where there is no git.
    "GIT_PYTHON_REFRESH": "quiet",
    # Progress bars in the middle of our own output.
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}


def opened_client(folder: Path) -> "MlflowClient":
    """A client of the store in `folder`, made when it is not there. Raises StateError when it cannot be opened.

    The first opening makes the database's schema (about 1.5 s) and the first of a process imports MLflow (about 2 s),
    so call it only where it is needed.
    """
    client = _client_class()
    folder.mkdir(parents=True, exist_ok=True)
    uri = database_uri(folder / DATABASE)
    with as_freshet_error(folder):
        return client(tracking_uri=uri, registry_uri=uri)


def database_uri(database: Path) -> str:
    """The address of a SQLite database as SQLAlchemy wants it, whatever characters its path has.

    SQLAlchemy decodes %-escapes and takes what follows a question mark for options. The driver is named because MLflow
    would make the folders of an address that begins with `sqlite:///` without decoding it.
    """
    return f"sqlite+pysqlite:///{quote(str(database.resolve()))}"


def imported_in_background() -> None:
    """Begins to import MLflow in a thread, for a process that needs it and has something to wait for before.

    A client that is opened meanwhile waits until it is done; an import that fails is reported there, where it is tried
    again.
    """

    def imported() -> None:
        with suppress(ImportError):
            _client_class()

    threading.Thread(target=imported, name="import of MLflow", daemon=True).start()


def _client_class() -> "type[MlflowClient]":
    """Of MLflow, which is imported and made quiet."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    # These log each migration at level INFO.
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    from mlflow.tracking import MlflowClient

    return MlflowClient


def experiment_id(client: "MlflowClient", folder: Path) -> str:
    """The experiment whose artifacts lie in `folder`, made when there is none.

    MLflow stores the absolute place of artifacts with the experiment. A home that was copied or moved therefore gets
    a new experiment: its runs must not write into the folder it came from.
    """
    place = (folder / ARTIFACTS).resolve().as_uri()
    experiments = client.search_experiments()
    for experiment in experiments:
        if experiment.artifact_location == place:
            return str(experiment.experiment_id)
    taken = {experiment.name for experiment in experiments}
    numbered = (f"{_EXPERIMENT}-{number}" for number in range(2, len(taken) + 3))
    name = next(name for name in (_EXPERIMENT, *numbered) if name not in taken)
    return str(client.create_experiment(name, artifact_location=place))


def artifact_folder(folder: Path, run_id: str) -> Path:
    """Where the artifacts of a run lie, also after the home was moved."""
    return folder / ARTIFACTS / run_id / "artifacts"


@contextmanager
def as_freshet_error(folder: Path) -> Iterator[None]:
    """Turns MLflow's and the database's errors into StateError."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError) as error:
        raise StateError(
            "the model registry cannot be used",
            where=str(folder),
            found=str(error).splitlines()[0] if str(error) else type(error).__name__,
            do="If the database was damaged or made by a newer MLflow, use another --home",
        ) from error
