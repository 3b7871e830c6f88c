"""Opens a job with its own Spark session from the options of a command."""

import contextlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from freshet.core.logs import log_to
from freshet.core.session import ended_java, local_session
from freshet.registry.store import import_mlflow_in_background
from freshet.runs.home import Home
from freshet.runs.job import Job
from freshet.runs.settings import load_settings


@contextlib.contextmanager
def opened_job(  # noqa: PLR0913  # one parameter per option of a command
    home: Path,
    environment: str | None,
    overrides: tuple[str, ...],
    master: str,
    *,
    source: Path | None = None,
    input_path: Path | None = None,
    as_of: datetime | None = None,
    topic: str | None = None,
    must_exist: bool = False,
    needs_mlflow: bool = False,
) -> Iterator[Job]:
    """A job with its own Spark session, which is stopped at the end. Settings are checked before Spark starts.

    With `must_exist`, raises StateError if no step has been run in the home. With `needs_mlflow`, for a job that
    reads models at once, MLflow is imported while Java starts; each takes two seconds.
    """
    settings = load_settings(environment, overrides)
    place = Home(home.absolute()).prepare(must_exist=must_exist)
    log_to(place.root)
    if needs_mlflow:
        import_mlflow_in_background()
    spark = local_session("freshet", master, scratch=place.root / "scratch")
    job = Job(spark, place, settings, source=source, input_path=input_path, as_of=as_of, topic=topic)
    try:
        yield job
    except Exception as error:
        if (failure := ended_java(error)) is not None:
            raise failure from None
        raise
    finally:
        job.close()
