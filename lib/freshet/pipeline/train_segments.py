"""Step train-segments, and the tables of segments: named groups of similar shoppers."""

import dataclasses
import json
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from freshet.contracts import EVALUATION_RESULTS, SEGMENT_PROFILES, USER_FEATURES, USER_SEGMENTS
from freshet.contracts.shoppers import ANONYMOUS_PREFIX
from freshet.core.errors import DataTooSmallError
from freshet.evaluation.splitting import Windows
from freshet.features.vector import SEGMENT_COLUMNS, SEGMENT_COLUMNS_WITHOUT_ORDERS, model_input
from freshet.models.segments.model import FittedSegments, fit_segments, profiles, segments_of
from freshet.models.segments.names import SegmentRoles
from freshet.registry.versions import ModelVersion
from freshet.report.charts.training import silhouettes_svg
from freshet.runs.job import Job
from freshet.runs.registered_models import SEGMENTS, registry, trained_on_other_columns
from freshet.runs.steps import BUILD
from freshet.tables.small_writes import replace_collected, replace_rows

_MODEL, _PATH = "kmeans", "model"
_PROFILED = ("recency_days", "orders", "monetary", "tenure_days", "items_breadth")


@dataclasses.dataclass(frozen=True)
class _Shop:
    """The shoppers to be segmented (contract USER_FEATURES), and whether they have orders and prices."""

    features: DataFrame
    has_orders: bool
    has_prices: bool

    @property
    def columns(self) -> tuple[str, ...]:
        return SEGMENT_COLUMNS if self.has_orders else SEGMENT_COLUMNS_WITHOUT_ORDERS

    @property
    def roles(self) -> SegmentRoles:
        silence, frequency, third = self.columns
        value = third if self.has_orders and self.has_prices else None
        return SegmentRoles(silence, frequency, value, "log_tenure_days")

    def inputs(self) -> DataFrame:
        return model_input(self.features).select("as_of", "user_id", *self.columns, "log_tenure_days")


def _shop(job: Job, windows: Windows) -> _Shop:
    """Shoppers as of the cut: known customers, or all shoppers if all are anonymous."""
    features = job.warehouse.read(USER_FEATURES).where(F.col("as_of") == F.lit(windows.cut))
    is_known = ~F.startswith("user_id", F.lit(ANONYMOUS_PREFIX))
    totals = features.agg(
        F.coalesce(F.bool_or(is_known), F.lit(False)),
        F.coalesce(F.max("orders"), F.lit(0)),
        F.coalesce(F.bool_or(F.col("monetary") != 0), F.lit(False)),
    ).collect()[0]
    return _Shop(features.where(is_known) if totals[0] else features, totals[1] > 0, totals[2])


def inputs(job: Job) -> dict[str, Any]:
    """The windows that the build step has set."""
    return {"windows": job.record(BUILD)["windows"]}


def work(job: Job, fingerprint: str) -> dict[str, Any]:
    """Fits and registers a challenger; records its metrics and whether it may serve."""
    params, shop = job.settings.segments, _shop(job, job.windows())
    try:
        fitted = fit_segments(shop.inputs(), shop.columns, roles=shop.roles, params=params)
    except DataTooSmallError as reason:
        raise DataTooSmallError(f"no segments: {reason}") from None
    best = fitted.silhouettes[fitted.segments]
    _write_figures(job, fingerprint, fitted)
    version = _registered(job, fingerprint, shop, fitted)
    accepted = best >= params.min_silhouette
    compared = "is at least" if accepted else "is below"
    return {
        "version": version,
        "accepted": accepted,
        "reasons": [f"silhouette {best:.3f} with {fitted.segments} segments {compared} {params.min_silhouette}"],
        "metrics": {"silhouette": best, "segments": float(fitted.segments)},
        "silhouettes": {str(k): value for k, value in fitted.silhouettes.items()},
    }


def _write_figures(job: Job, fingerprint: str, fitted: FittedSegments) -> None:
    """Writes the silhouette of every number of segments tried (as k), and of the chosen one (as k = 0)."""
    figures = {**fitted.silhouettes, 0: fitted.silhouettes[fitted.segments]}
    known = {"run_id": fingerprint, "task": "segments", "model": _MODEL, "metric": "silhouette", "split": "validation"}
    rows = [{**known, "k": k, "value": value, "users": fitted.shoppers} for k, value in figures.items()]
    replace_rows(job.warehouse, rows, EVALUATION_RESULTS, where=f"run_id = '{fingerprint}'")


def _registered(job: Job, fingerprint: str, shop: _Shop, fitted: FittedSegments) -> int:
    params = {
        **dataclasses.asdict(job.settings.segments),
        "columns": list(shop.columns),
        "frequency_of": "orders" if shop.has_orders else "events",
        "chosen_segments": fitted.segments,
        "cut": job.windows().cut.isoformat(),
    }
    with registry(job).training_run(SEGMENTS, params=params, fingerprint=fingerprint) as run:
        run.log_metrics({f"silhouette_{k}": value for k, value in fitted.silhouettes.items()})
        run.log_metrics({"silhouette": fitted.silhouettes[fitted.segments]})
        run.log_inputs({table.name: job.warehouse.version(table) for table in (USER_FEATURES,)})
        run.log_text(json.dumps(fitted.silhouettes, indent=1), "silhouettes.json")
        run.log_text(silhouettes_svg(fitted.silhouettes, chosen=fitted.segments), "silhouettes.svg")
        run.log_model(fitted.model, _PATH)
        return registry(job).register(SEGMENTS, run, _PATH).version


def write_segments(job: Job, version: ModelVersion, windows: Windows) -> None:
    """Writes user_segments as of the run's cut, and segment_profiles, by a version of the model.

    Raises DataTooSmallError if it was trained on columns that the data no longer have, such as orders.
    """
    shop, name = _shop(job, windows), version.model_version
    columns, inputs = registry(job).trained_with(version)["columns"], shop.inputs()
    if not set(columns) <= set(inputs.columns):
        raise trained_on_other_columns(version, f"{', '.join(columns)}, which the data no longer have")
    segments = segments_of(registry(job).load_spark_model(version), inputs).persist()
    try:
        cut = f"as_of = timestamp'{windows.cut:%Y-%m-%d %H:%M:%S.%f}'"
        job.warehouse.replace(segments.withColumn("model_version", F.lit(name)), USER_SEGMENTS, where=cut)
        described = profiles(segments, _described(shop), _PROFILED).withColumn("model_version", F.lit(name))
        replace_collected(job.warehouse, described, SEGMENT_PROFILES, where=f"model_version = '{name}'")
    finally:
        segments.unpersist()


def _described(shop: _Shop) -> DataFrame:
    """The columns of the profiles in their own units, filled from events if there are no orders."""
    return shop.features.withColumns(
        {
            "recency_days": F.coalesce(F.col("recency_days"), F.col("idle_days")),
            "orders": F.col("orders") if shop.has_orders else F.col("events_365d"),
            "monetary": F.when(F.lit(shop.has_prices), F.col("monetary")),
        }
    )
