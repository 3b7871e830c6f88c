"""How the options of a command become a job with its own Spark session."""

import contextlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from freshet.core.logs import log_to
from freshet.core.session import local_session
from freshet.registry.store import imported_in_background
from freshet.runs.home import Home
from freshet.runs.job import Job
from freshet.runs.settings import load_settings


@contextlib.contextmanager
def opened_job(  # noqa: PLR0913  # what the options of a command say
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
    asks_models: bool = False,
) -> Iterator[Job]:
    """A job with its own Spark session, stopped at the end. Settings are checked before Spark starts.

    Where the home must be one that `must_exist`, StateError is raised when no step was run in it. For a job that
    `asks_models` at once MLflow is imported while Java starts, each of which takes two seconds.
    """
    settings = load_settings(environment, overrides)
    place = Home(home.absolute()).prepare(must_exist=must_exist)
    log_to(place.root)
    if asks_models:
        imported_in_background()
    spark = local_session("freshet", master, scratch=place.root / "scratch")
    job = Job(spark, place, settings, source=source, input_path=input_path, as_of=as_of, topic=topic)
    try:
        yield job
    finally:
        job.close()
