"""Step train-propensity, and the scores of its model: the probability that a shopper buys within the horizon."""

import dataclasses
import json
import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from pyspark.errors import PySparkException
from pyspark.ml import PipelineModel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from freshet.contracts import EVALUATION_RESULTS, EVENTS, USER_FEATURES, USER_SCORES
from freshet.contracts.events import PURCHASE
from freshet.contracts.shoppers import ANONYMOUS_PREFIX
from freshet.core.errors import DataTooSmallError
from freshet.evaluation.classification import best_f1_threshold, calibration, probability_figures
from freshet.evaluation.splitting import Windows, known_before
from freshet.features.labels import labels
from freshet.features.season import SEASON_COLUMN, season_orders, with_season
from freshet.features.users import user_features_at
from freshet.features.vector import PROPENSITY_COLUMNS, model_input
from freshet.models.propensity.cuts import rolling_cuts
from freshet.models.propensity.model import FittedPropensity, PropensityParameters, fit_propensity, scored
from freshet.pipeline.recommender.recommender_fits import events_until
from freshet.registry.versions import ModelVersion
from freshet.report.charts.calibration import calibration_svg
from freshet.runs.job import Job
from freshet.runs.registered_models import PROPENSITY, champion, registry, trained_on_other_columns
from freshet.runs.steps import BUILD
from freshet.tables.small_writes import replace_rows

COLUMNS = (*PROPENSITY_COLUMNS, SEASON_COLUMN)
"""The features of the model."""

_LEAST_HORIZONS = 3
"""One of history, one of labels to learn from, one to judge."""


@dataclass(frozen=True)
class LearningPlan:
    """Cut dates to train on, ascending, and the later one to judge at."""

    cuts: list[datetime]
    test_cut: datetime


def learning_plan(events: DataFrame, windows: Windows, params: PropensityParameters) -> LearningPlan:
    """The cut dates for training and judging, for `events` of known customers.

    The model is judged at the run's cut if its horizon lies within the data, else one horizon earlier, the newest cut
    for which it does. Label windows of training end before the test cut. Raises DataTooSmallError if there are no
    customers, no purchases, or less than three horizons of data.
    """
    first, purchases = _first_and_purchases(events)
    horizon = timedelta(days=params.horizon_days)
    if first is None:
        raise DataTooSmallError("no purchase probability: all shoppers are anonymous")
    if not purchases:
        raise DataTooSmallError("no purchase probability: the source has no purchases of known customers")
    # The horizon may be longer than the live part, or there may be none.
    test_cut = windows.cut if windows.cut + horizon <= windows.as_of else windows.cut - horizon
    cuts = rolling_cuts(first, test_cut, horizon_days=params.horizon_days, max_cuts=params.max_cuts)
    if not cuts:
        span = (windows.as_of - first) / timedelta(days=1)
        raise DataTooSmallError(
            f"no purchase probability: the data span {span:.1f} days",
            expected=f"{_LEAST_HORIZONS} horizons of {params.horizon_days} days: for history, labels and test",
        )
    return LearningPlan(cuts, test_cut)


def labelled_rows(events: DataFrame, plan: LearningPlan, params: PropensityParameters) -> DataFrame:
    """(as_of, user_id, label, COLUMNS): for each cut of the plan, every customer known before it."""
    cuts = [*plan.cuts, plan.test_cut]
    rows = unlabelled_rows(user_features_at(events, cuts), events, cuts, horizon_days=params.horizon_days)
    answers = labels(events, cuts=cuts, horizon_days=params.horizon_days, target=PURCHASE)
    return rows.join(answers, on=["as_of", "user_id"], how="inner")


def unlabelled_rows(features: DataFrame, events: DataFrame, cuts: list[datetime], *, horizon_days: int) -> DataFrame:
    """(as_of, user_id, COLUMNS) for `features` (contract USER_FEATURES) as of the cuts."""
    season = season_orders(events, cuts, horizon_days=horizon_days, target=PURCHASE)
    return with_season(model_input(features), season).select("as_of", "user_id", *COLUMNS)


def _first_and_purchases(events: DataFrame) -> tuple[datetime | None, int]:
    row = events.agg(F.min("event_time"), F.count_if(F.col("event_name") == PURCHASE)).collect()[0]
    return row[0], row[1]


_MODEL, _BASELINE, _CHAMPION = "logistic_regression", "base_rate", "champion"
_PATH = "model"
_CALIBRATION_BINS = 10


class _Judged(NamedTuple):
    """Metrics at the test cut, as rows of probability_figures, and the calibration table."""

    figures: list[dict[str, Any]]
    bins: list[dict[str, Any]]
    champion_figures: list[dict[str, Any]]

    def value(self, metric: str) -> float:
        return float(next(row["value"] for row in self.figures if row["metric"] == metric))

    def champion_value(self, metric: str) -> float | None:
        return next((float(row["value"]) for row in self.champion_figures if row["metric"] == metric), None)


def inputs(job: Job) -> dict[str, Any]:
    """The windows that the build step has set."""
    return {"windows": job.record(BUILD)["windows"]}


def work(job: Job, fingerprint: str) -> dict[str, Any]:
    """Fits, judges and registers a challenger; records its metrics and whether it may serve."""
    params, windows = job.settings.propensity, job.windows()
    events = events_until(job, windows).where("user_id is not null")
    plan = learning_plan(events, windows, params)
    rows = labelled_rows(events, plan, params).persist()
    try:
        train = rows.where(F.col("as_of") < F.lit(plan.test_cut))
        job.notify(f"training on {len(plan.cuts)} cut dates, judging at {plan.test_cut:%Y-%m-%d}")
        fitted = fit_propensity(train, list(COLUMNS), cuts=plan.cuts, cut=plan.test_cut, params=params)
        judged = _judged(job, rows, fitted.model, plan)
    finally:
        rows.unpersist()
    floor = _log_loss_of_rate(fitted.base_rate, judged.value("positive_rate"))
    _write_figures(job, fingerprint, judged, floor)
    reasons = _refusals(job, judged, floor)
    metrics = {row["metric"]: row["value"] for row in judged.figures if row["value"] is not None}
    metrics["base_rate_log_loss"] = floor
    version = _registered(job, fingerprint, plan, fitted, judged, metrics)
    return {
        "version": version, "accepted": not reasons, "metrics": metrics, "calibration": judged.bins,
        "reasons": reasons or [f"log loss {metrics['log_loss']:.4f} is below {floor:.4f} of the plain base rate"],
        "test_cut": plan.test_cut.isoformat(), "choice": fitted.choice._asdict(),
    }  # fmt: skip


def _judged(job: Job, rows: DataFrame, model: PipelineModel, plan: LearningPlan) -> _Judged:
    """Judges the model, and the champion if there is one, on the shoppers of the test cut."""
    newest = _with_labels(model, rows.where(F.col("as_of") == F.lit(max(plan.cuts))))
    threshold = best_f1_threshold(newest)
    test = rows.where(F.col("as_of") == F.lit(plan.test_cut))
    cases = _with_labels(model, test).persist()
    figures = [row.asDict() for row in probability_figures(cases, threshold=threshold).collect()]
    bins = [row.asDict() for row in calibration(cases, bins=_CALIBRATION_BINS, equal_count=False).collect()]
    cases.unpersist()
    before, old = champion(job, PROPENSITY), []
    if before is not None and (days := _horizon_days(job, before)) != job.settings.propensity.horizon_days:
        job.notify(f"the champion has a horizon of {days} days and cannot be compared")
    elif before is not None:
        try:
            rival = _with_labels(registry(job).load_spark_model(before), test)
            old = [row.asDict() for row in probability_figures(rival, threshold=threshold).collect()]
        except PySparkException:
            job.notify("the champion was trained on other features and cannot be compared")
    return _Judged(figures, sorted(bins, key=lambda row: row["bin"]), old)


def _with_labels(model: PipelineModel, rows: DataFrame) -> DataFrame:
    """(label, probability) of labelled rows."""
    return scored(model, rows, "label").select("label", F.col("purchase_probability").alias("probability"))


def _log_loss_of_rate(predicted: float, observed: float) -> float:
    """Log loss of predicting the same probability for every shopper."""
    return -observed * math.log(predicted) - (1 - observed) * math.log(1 - predicted)


def _refusals(job: Job, judged: _Judged, floor: float) -> list[str]:
    """Why the model should not serve; empty when it may."""
    loss, old = judged.value("log_loss"), judged.champion_value("log_loss")
    reasons = []
    if loss >= floor:
        reasons.append(f"log loss {loss:.4f} is no better than {floor:.4f} of the plain base rate")
    tolerance = job.settings.propensity.champion_tolerance
    if old is not None and loss > old + tolerance:
        reasons.append(f"log loss {loss:.4f} is worse than the champion's {old:.4f} by more than {tolerance}")
    return reasons


def _write_figures(job: Job, fingerprint: str, judged: _Judged, floor: float) -> None:
    users = judged.figures[0]["users"]
    plain = {"metric": "log_loss", "k": 0, "value": floor, "low": None, "high": None, "users": users}
    by_model = {_MODEL: judged.figures, _BASELINE: [plain], _CHAMPION: judged.champion_figures}
    known = {"run_id": fingerprint, "task": "propensity", "split": "test"}
    rows = [{**row, **known, "model": model} for model, figures in by_model.items() for row in figures]
    replace_rows(job.warehouse, rows, EVALUATION_RESULTS, where=f"run_id = '{fingerprint}'")


def _registered(
    job: Job,
    fingerprint: str,
    plan: LearningPlan,
    fitted: FittedPropensity,
    judged: _Judged,
    metrics: dict[str, float],
) -> int:
    params = {
        **dataclasses.asdict(job.settings.propensity),
        **{f"chosen_{name}": value for name, value in fitted.choice._asdict().items()},
        "cuts": [cut.isoformat() for cut in plan.cuts],
        "test_cut": plan.test_cut.isoformat(),
    }
    search = [{**choice._asdict(), "log_loss": loss} for choice, loss in fitted.log_losses.items()]
    title = f"Probability to buy within {job.settings.propensity.horizon_days} days from {plan.test_cut:%Y-%m-%d}"
    with registry(job).training_run(PROPENSITY, params=params, fingerprint=fingerprint) as run:
        run.log_metrics(metrics)
        run.log_inputs({EVENTS.name: job.warehouse.version(EVENTS)})
        run.log_text(json.dumps(judged.bins, indent=1), "calibration.json")
        run.log_text(calibration_svg(judged.bins, title=title), "calibration.svg")
        run.log_text(json.dumps(search, indent=1), "search.json")
        run.log_model(fitted.model, _PATH)
        return registry(job).register(PROPENSITY, run, _PATH).version


def _horizon_days(job: Job, version: ModelVersion) -> int:
    return int(registry(job).trained_with(version)["horizon_days"])


def write_scores(job: Job, version: ModelVersion, windows: Windows) -> None:
    """Writes user_scores of all known customers as of the run's cut, by a version of the model with the horizon that it
    was trained with. Raises DataTooSmallError if it needs columns that are missing."""
    cut, horizon = windows.cut, _horizon_days(job, version)
    events = known_before(events_until(job, windows), cut).where("user_id is not null")
    features = job.warehouse.read(USER_FEATURES).where(F.col("as_of") == F.lit(cut))
    customers = features.where(~F.startswith("user_id", F.lit(ANONYMOUS_PREFIX)))
    rows = unlabelled_rows(customers, events, [cut], horizon_days=horizon)
    model = registry(job).load_spark_model(version)
    try:
        probabilities = scored(model, rows)
    except PySparkException:
        # Nothing is computed yet: the error is raised by the analysis of the query plan.
        raise trained_on_other_columns(version, "other columns than the data give") from None
    scores = probabilities.withColumns({"horizon_days": F.lit(horizon), "model_version": F.lit(version.model_version)})
    job.warehouse.replace(scores, USER_SCORES, where=f"as_of = timestamp'{cut:%Y-%m-%d %H:%M:%S.%f}'")
