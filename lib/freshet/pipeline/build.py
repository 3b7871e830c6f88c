"""Step build: interactions and features of shoppers and items as of the run's cut."""

import dataclasses
from datetime import datetime
from typing import Any

import pyarrow.compute as pc

from freshet.contracts import EVENTS, INTERACTIONS, ITEM_FEATURES, USER_FEATURES
from freshet.contracts.events import PURCHASE, REFUND
from freshet.core.errors import StateError
from freshet.evaluation.splitting import Windows, check_as_of, run_windows
from freshet.features.currency import check_currencies
from freshet.features.interactions import interactions
from freshet.features.items import item_features
from freshet.features.users import user_features
from freshet.pipeline.recommender.recommender_fits import events_until, target_event
from freshet.runs.job import Job
from freshet.tables.lookups.figures import extent, value_counts


def planned_windows(job: Job) -> Windows:
    """The windows for the events of the home and the requested as_of.

    Raises StateError if there are no events, InputError if as_of is outside their time span.
    """
    span = extent(job.warehouse, EVENTS, "event_time")
    if span is None:
        raise StateError(
            "there are no accepted events", where=str(job.home.root), do="See table quarantine for the reasons"
        )
    if job.as_of is not None:
        check_as_of(job.as_of, *span, do="The events are ingested: give another --as-of, or none")
    return run_windows(span[0], span[1], job.as_of, job.settings.windows)


def inputs(job: Job) -> dict[str, Any]:
    """What affects the result besides tables and settings: the requested as_of."""
    return {"as_of": job.as_of}


def work(job: Job, fingerprint: str) -> dict[str, Any]:
    """Writes the tables as of the cut; records the windows and the target event."""
    windows = planned_windows(job)
    priced = pc.field("price").is_valid() & pc.field("event_name").isin([PURCHASE, REFUND])
    currencies = value_counts(job.warehouse, EVENTS, ["currency"], priced)["currency"]
    check_currencies(currencies, job.settings.money, where=str(job.home.root))
    events = events_until(job, windows)
    target = target_event(events, windows.cut, job.settings.evaluation)
    params = job.settings.interactions
    as_of = f"as_of = timestamp'{windows.cut:%Y-%m-%d %H:%M:%S.%f}'"
    pairs = interactions(events, as_of=windows.cut, half_life_days=params.half_life_days, params=params)
    tables = (
        (pairs, INTERACTIONS),
        (user_features(events, as_of=windows.cut), USER_FEATURES),
        (item_features(events, as_of=windows.cut, target=target), ITEM_FEATURES),
    )
    for rows, table in tables:
        # The rows are grouped by the key: a check for duplicates would sort all of them once more.
        job.warehouse.replace(rows, table, where=as_of, keys_are_unique=True)
    return {"windows": _as_text(windows), "target": target}


def _as_text(windows: Windows) -> dict[str, Any]:
    values = dataclasses.asdict(windows)
    return {key: value.isoformat() if isinstance(value, datetime) else value for key, value in values.items()}
