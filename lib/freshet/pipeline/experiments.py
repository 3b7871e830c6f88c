"""Step experiments: measures the experiments of a file and decides, and writes what lists have earned."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from freshet.contracts import EVENTS, EXPERIMENT_RESULTS, LIST_OUTCOMES
from freshet.contracts.events import IMPRESSIONS
from freshet.core.errors import InputError
from freshet.experiments.attribution import list_outcomes
from freshet.experiments.decision import decisions
from freshet.experiments.experiment import Experiment
from freshet.experiments.measures import arm_moments, moments_of, shopper_measures
from freshet.experiments.parameters import ExperimentParameters
from freshet.experiments.reading import experiments_of_toml
from freshet.experiments.results import result_rows
from freshet.features.currency import in_one_currency
from freshet.runs.job import Job
from freshet.sources.toml_sections import file_text
from freshet.tables.format.arrow_rows import arrow_schema
from freshet.tables.lookups.figures import extent
from freshet.tables.small_writes import replace_whole


def read_experiments(path: Path) -> tuple[Experiment, ...]:
    """The experiments of a TOML file. Raises InputError with all problems, each with its line and field."""
    return experiments_of_toml(file_text(path, expected="a TOML file of experiments"), str(path))


def _named(job: Job) -> Path:
    if job.input_path is None:
        raise InputError("experiments are needed", do="Give --input EXPERIMENTS.toml")
    return job.input_path


def inputs(job: Job) -> dict[str, Any]:
    """The experiments of the file, without its comments."""
    return {"experiments": [repr(one) for one in read_experiments(_named(job))]}


def work(job: Job, fingerprint: str) -> dict[str, Any]:
    """Replaces both tables; records the decisions by experiment and arm."""
    experiments = [one for one in read_experiments(_named(job)) if one.enabled]
    params, now = job.settings.experiments, job.now()
    events = in_one_currency(job.warehouse.read(EVENTS), job.settings.money)
    span = extent(job.warehouse, EVENTS, "event_time")
    # Before the first event there is nothing to count, whatever the time.
    newest = now if span is None else span[1]
    rows: list[dict[str, Any]] = []
    decided: dict[str, dict[str, str]] = {}
    for one in experiments:
        found = _measured(events, one, params, newest)
        rows += [{**row, "measured_at": now} for row in found]
        decided[one.name] = {row["arm"]: row["decision"] for row in found if row["decision"] is not None}
    schema = arrow_schema(EXPERIMENT_RESULTS)
    replace_whole(job.warehouse, pa.Table.from_pylist(rows, schema=schema), EXPERIMENT_RESULTS)
    windows = {"click_window_hours": params.click_window_hours, "view_window_hours": params.view_window_hours}
    job.warehouse.replace(list_outcomes(events, **windows), LIST_OUTCOMES, keys_are_unique=True)
    about = "".join(f"; {name}: {arm} {verdict}" for name, arms in decided.items() for arm, verdict in arms.items())
    return {"experiments": len(experiments), "decisions": decided, "about": about}


def _measured(
    events: DataFrame, experiment: Experiment, params: ExperimentParameters, newest: datetime
) -> list[dict[str, Any]]:
    """Rows of EXPERIMENT_RESULTS but for measured_at."""
    is_over = experiment.ends is not None and experiment.ends <= newest
    until = experiment.ends if is_over and experiment.ends is not None else newest + timedelta(microseconds=1)
    lists_shown = events.where(
        F.col("event_name").isin(*IMPRESSIONS) & F.col("recommendation_id").isNotNull()
        & (F.col("event_time") >= F.lit(experiment.starts)) & (F.col("event_time") < F.lit(until))
    )  # fmt: skip
    measures = shopper_measures(
        events, experiment, until=until, covariate_days=params.covariate_days,
        by_impressions=not lists_shown.isEmpty(),
    )  # fmt: skip
    rows = [row.asDict() for row in arm_moments(measures, experiment.metrics).collect()]
    moments = moments_of(rows, experiment.metrics)
    found = decisions(experiment, moments, params, is_over=is_over)
    return [{**row, "events_until": until} for row in result_rows(experiment, moments, found)]
