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
    # MLflow sends usage data over the network unless this is set.
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # Its messages about creating tables do not concern the user.
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "DO_NOT_TRACK": "true",
    # GitPython warns on import if there is no git.
    "GIT_PYTHON_REFRESH": "quiet",
    # Otherwise progress bars would appear in the middle of our own output.
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}


def open_client(folder: Path) -> "MlflowClient":
    """A client of the store in `folder`, which is created if missing. Raises StateError if it cannot be opened.

    The first call creates the schema of the database (about 1.5 s) and the first one of a process imports MLflow (about
    2 s), so call it only where it is needed.
    """
    client = _client_class()
    folder.mkdir(parents=True, exist_ok=True)
    uri = database_uri(folder / DATABASE)
    with as_freshet_error(folder):
        return client(tracking_uri=uri, registry_uri=uri)


def database_uri(database: Path) -> str:
    """The URI of a SQLite database for SQLAlchemy, for a path with any characters.

    SQLAlchemy decodes %-escapes and treats what follows a question mark as options. The driver is included because
    MLflow would create the folders of a URI that starts with `sqlite:///` without decoding it.
    """
    return f"sqlite+pysqlite:///{quote(str(database.resolve()))}"


def import_mlflow_in_background() -> None:
    """Starts importing MLflow in a thread, for a process that needs it later and has to wait for something else first.

    A client opened in the meantime waits for the import; if the import fails, opening a client tries it again and
    raises the error.
    """

    def import_mlflow() -> None:
        with suppress(ImportError):
            _client_class()

    threading.Thread(target=import_mlflow, name="import of MLflow", daemon=True).start()


def _client_class() -> "type[MlflowClient]":
    """MLflow's client class; imports MLflow and silences it."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    # These log each migration at level INFO.
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    from mlflow.tracking import MlflowClient

    return MlflowClient


def experiment_id(client: "MlflowClient", folder: Path) -> str:
    """The experiment whose artifacts are in `folder`, created if there is none.

    MLflow stores the absolute location of artifacts with the experiment. A home that was copied or moved therefore gets
    a new experiment: its runs must not write to the original folder.
    """
    location = (folder / ARTIFACTS).resolve().as_uri()
    experiments = client.search_experiments()
    for experiment in experiments:
        if experiment.artifact_location == location:
            return str(experiment.experiment_id)
    taken = {experiment.name for experiment in experiments}
    numbered = (f"{_EXPERIMENT}-{number}" for number in range(2, len(taken) + 3))
    name = next(name for name in (_EXPERIMENT, *numbered) if name not in taken)
    return str(client.create_experiment(name, artifact_location=location))


def artifact_folder(folder: Path, run_id: str) -> Path:
    """The folder of a run's artifacts, also after the home was moved."""
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
