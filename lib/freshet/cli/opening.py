"""How the options of a command become a job with its own Spark session."""

import contextlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from freshet.logs import log_to
from freshet.registry.store import imported_beside
from freshet.session import local_session
from freshet.settings import load_settings
from freshet.steps.ingest import mapped_files
from freshet.steps.job import Job
from freshet.storage.home import Home


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
    live_days: int | None = None,
    is_begun: bool = False,
    asks_models: bool = False,
) -> Iterator[Job]:
    """A job with its own Spark session, stopped at the end. Settings are checked before Spark starts.

    Where the home must be one that `is_begun`, StateError is raised when no step was run in it. For a job that
    `asks_models` at once MLflow is imported while Java starts, each of which takes two seconds.
    """
    if live_days is not None:
        overrides = (*overrides, f"windows.live_days={live_days}")
    settings = load_settings(environment, overrides)
    if source is not None and input_path is not None:
        mapped_files(source, input_path)  # a wrong mapping or file is told before Spark is started
    place = Home(home.absolute()).prepare(is_begun=is_begun)
    log_to(place.root)
    if asks_models:
        imported_beside()
    spark = local_session("freshet", master, scratch=place.root / "scratch")
    job = Job(spark, place, settings, source=source, input_path=input_path, as_of=as_of)
    try:
        yield job
    finally:
        job.close()
