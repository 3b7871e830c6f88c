"""What the shoppers of an experiment did, and the moments of each arm."""

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from freshet.contracts.events import PURCHASE, REFUND
from freshet.contracts.shoppers import is_left_out, order_id, shopper_id
from freshet.experiments.assigned import arm_column
from freshet.experiments.attribution import is_click
from freshet.experiments.experiment import METRICS, Experiment
from freshet.experiments.moments import ArmMoments

_BEFORE = "before_"


def shopper_measures(
    events: DataFrame, experiment: Experiment, *, until: datetime, covariate_days: int, by_impressions: bool
) -> DataFrame:
    """(user_id, arm, exposed_at, shoppers, buyers, orders, revenue, clicks, lists, before_*): a row per shopper of an
    arm whom the experiment has reached, numbers as doubles.

    `events` are EVENTS, with prices in one currency. A shopper is reached by the first event from the start on,
    before `until`; with `by_impressions` by the first item that was shown with a recommendation_id. From then on,
    before `until`: orders and what they cost (revenue; 0 for lines without a price; refunds take nothing away),
    whether there was one (buyers, 0 or 1), the items of lists clicked (as in `attributed`), and the lists from which
    something was shown or clicked. before_buyers, before_orders, before_revenue and before_clicks are the same in the
    `covariate_days` before the start. shoppers is 1.

    Shoppers are those of tables of lists (contracts.shoppers): an anonymous one who logs in becomes another one. Events
    flagged non_product or bot do not count.
    """
    start, stop = F.lit(experiment.starts), F.lit(until)
    first = start - F.make_dt_interval(days=F.lit(covariate_days))
    time = F.col("event_time")
    rows = events.where(~is_left_out() & (time >= first) & (time < stop)).withColumn("user_id", shopper_id())
    is_shown = F.col("recommendation_id").isNotNull() & ~is_click()
    reaches = (time >= start) & (is_shown if by_impressions else F.lit(True))
    exposed_at = F.min(F.when(reaches, time)).over(Window.partitionBy("user_id"))
    known = rows.where("user_id is not null").withColumn("exposed_at", exposed_at).where("exposed_at is not null")
    during, before = time >= F.col("exposed_at"), time < start
    counted = known.groupBy("user_id").agg(
        F.min("exposed_at").alias("exposed_at"),
        *[column.alias(name) for name, column in _sums(during).items()],
        *[column.alias(f"{_BEFORE}{name}") for name, column in _sums(before).items() if name != "lists"],
    )
    for prefix in ("", _BEFORE):
        counted = counted.withColumn(f"{prefix}buyers", (F.col(f"{prefix}orders") > 0).cast("double"))
    arm = arm_column(experiment, F.col("user_id"))
    return counted.withColumns({"shoppers": F.lit(1.0), "arm": arm}).where("arm is not null")


def _sums(chosen: Column) -> dict[str, Column]:
    """Aggregates of a shopper's events: of those that are chosen."""
    is_purchase, is_named = F.col("event_name") == PURCHASE, F.col("recommendation_id").isNotNull()
    clicked = chosen & is_named & is_click() & (F.col("event_name") != REFUND) & F.col("item_id").isNotNull()
    spent = F.coalesce(F.coalesce(F.col("quantity"), F.lit(1.0)) * F.col("price"), F.lit(0.0))
    return {
        "orders": _distinct(F.when(chosen & is_purchase, order_id())),
        "revenue": F.sum(F.when(chosen & is_purchase, spent).otherwise(0.0)),
        "clicks": _distinct(F.when(clicked, F.struct("recommendation_id", "item_id"))),
        "lists": _distinct(F.when(chosen & is_named, F.col("recommendation_id"))),
    }


def _distinct(value: Column) -> Column:
    # As sets of a shopper: several counts of distinct values would repeat every event for each of them.
    return F.size(F.collect_set(value)).cast("double")


def arm_moments(measures: DataFrame, metrics: Sequence[str]) -> DataFrame:
    """(arm, shoppers, ...): a row per arm with the means and covariances of each metric's numerator, denominator and
    covariate, which is the numerator before the start. `moments_of` reads the rows."""
    columns: list[Column] = [F.count(F.lit(1)).alias("shoppers")]
    for metric in metrics:
        names = _columns(metric)
        columns += [F.avg(name).alias(f"{metric}_{n}") for n, name in enumerate(names)]
        columns += [
            F.covar_samp(names[n], names[other]).alias(f"{metric}_{n}_{other}")
            for n in range(3) for other in range(n, 3)
        ]  # fmt: skip
    return measures.groupBy("arm").agg(*columns)


def moments_of(rows: Iterable[Mapping[str, Any]], metrics: Sequence[str]) -> dict[str, dict[str, ArmMoments]]:
    """By arm and metric, from rows of `arm_moments`."""
    return {row["arm"]: {metric: _moments(row, metric) for metric in metrics} for row in rows}


def _columns(metric: str) -> tuple[str, str, str]:
    numerator, denominator = METRICS[metric]
    return numerator, denominator, f"{_BEFORE}{numerator}"


def _moments(row: Mapping[str, Any], metric: str) -> ArmMoments:
    covariance = np.zeros((3, 3))
    for n in range(3):
        for other in range(n, 3):
            value = row[f"{metric}_{n}_{other}"]
            # A single shopper has no covariance.
            covariance[n, other] = covariance[other, n] = 0.0 if value is None or math.isnan(value) else value
    return ArmMoments(row["shoppers"], np.array([row[f"{metric}_{n}"] for n in range(3)]), covariance)
