"""The rows that the propensity model learns from and is judged by."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from freshet.errors import DataTooSmallError
from freshet.features.labels import labels
from freshet.features.season import SEASON_COLUMN, season_orders, with_season
from freshet.features.users import user_features_at
from freshet.features.vector import PROPENSITY_COLUMNS, model_input
from freshet.models.cuts import rolling_cuts
from freshet.models.propensity import PropensityParameters
from freshet.splitting import Windows

PURCHASE = "purchase"

COLUMNS = (*PROPENSITY_COLUMNS, SEASON_COLUMN)
"""What the model looks at."""

_LEAST_HORIZONS = 3
"""One to know something, one to learn, one to judge."""


@dataclass(frozen=True)
class LearningPlan:
    """Cut dates to learn at, rising, and the later one to judge at."""

    cuts: list[datetime]
    test_cut: datetime


def learning_plan(events: DataFrame, windows: Windows, params: PropensityParameters) -> LearningPlan:
    """When to learn and when to judge, for `events` of known customers.

    The model is judged at the run's cut where its horizon lies within the data, else at the newest cut where it does,
    one horizon earlier. Label windows of learning end before the judged cut. Raises DataTooSmallError when there are
    no customers, no purchases or less than three horizons of data.
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
            expected=f"{_LEAST_HORIZONS} horizons of {params.horizon_days} days: to know, to learn and to judge",
        )
    return LearningPlan(cuts, test_cut)


def labelled_rows(events: DataFrame, plan: LearningPlan, params: PropensityParameters) -> DataFrame:
    """(as_of, user_id, label, COLUMNS): every customer known before each cut of the plan."""
    cuts = [*plan.cuts, plan.test_cut]
    rows = unlabelled_rows(user_features_at(events, cuts), events, cuts, params)
    answers = labels(events, cuts=cuts, horizon_days=params.horizon_days, target=PURCHASE)
    return rows.join(answers, on=["as_of", "user_id"], how="inner")


def unlabelled_rows(
    features: DataFrame, events: DataFrame, cuts: list[datetime], params: PropensityParameters
) -> DataFrame:
    """(as_of, user_id, COLUMNS) for `features` (contract USER_FEATURES) as of the cuts."""
    season = season_orders(events, cuts, horizon_days=params.horizon_days, target=PURCHASE)
    return with_season(model_input(features), season).select("as_of", "user_id", *COLUMNS)


def _first_and_purchases(events: DataFrame) -> tuple[datetime | None, int]:
    row = events.agg(F.min("event_time"), F.count_if(F.col("event_name") == PURCHASE)).collect()[0]
    return row[0], row[1]
