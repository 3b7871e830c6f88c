"""What shoppers of an experiment did: arms as in plain Python, designed events, moments as NumPy has them."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from freshet.experiments.assigned import arm_column, bucket_column
from freshet.experiments.assignment import arm_of, bucket
from freshet.experiments.experiment import METRICS
from freshet.experiments.measures import arm_moments, moments_of, shopper_measures
from freshet.experiments.moments import ArmMoments
from tests.experiments_data import experiment
from tests.factories import event, events_frame, local_frame, moment

ALL = experiment(0.5, 0.5, starts=moment("2026-11-10"))
UNTIL = moment("2026-11-20")
ODD_IDS = [
    "",
    " ",
    "a:b",
    "Zoë Ø 🛒",
    "e\u0301",
    "\u00e9",
    "anon:x",
    "名前",
    "\u200d",
    "\n\t",
    "'\"\\",
    "0" * 300,
    "\x00",
    "\U0010ffff",
]


def test_arms_in_spark_are_those_of_plain_python(spark: SparkSession) -> None:
    ids = [*ODD_IDS, *(f"u{n}" for n in range(500))]
    one = experiment(0.3, 0.2, 0.1, first_bucket=1_000, end_bucket=9_000, salt="Zoë's", layer="lists ü")
    found = (
        local_frame(spark, "user_id string", [{"user_id": name} for name in [*ids, None]])
        .select("user_id", arm_column(one, F.col("user_id")).alias("arm"),
                bucket_column("layer", "lists ü", F.col("user_id")).alias("bucket"))
        .collect()
    )  # fmt: skip
    assert [row["bucket"] for row in found[:-1]] == [bucket("layer", "lists ü", name) for name in ids]
    assert [row["arm"] for row in found[:-1]] == [arm_of(one, name) for name in ids]
    assert {row["arm"] for row in found} == {"control", "b", "c", None}
    assert tuple(found[-1]) == (None, None, None)


def measured(spark: SparkSession, rows: list[dict[str, Any]], **options: Any) -> dict[str, dict[str, Any]]:
    options = {"until": UNTIL, "covariate_days": 7, "by_impressions": False, **options}
    frame = shopper_measures(events_frame(spark, rows), options.pop("experiment", ALL), **options)
    return {row["user_id"]: row.asDict() for row in frame.collect()}


def at(day: str, name: str, user: str | None = "u", **other: Any) -> dict[str, Any]:
    return event(name, user=user, at=moment(f"2026-11-{day}"), **other)


def test_from_the_first_event_after_the_start_on_everything_counts(spark: SparkSession) -> None:
    found = measured(spark, [
        at("02 12:00", "purchase", price=1000.0),  # before the days that are compared
        at("03", "purchase", price=2.0, order="x"), at("09 23:59", "purchase", price=3.0, order="x"),
        at("05", "select_item", recommendation_id="old"),
        at("10", "view_item"),
        at("11", "purchase", price=5.0, quantity=2.0, order="y"), at("11", "purchase", item="i2", price=1.0, order="y"),
        at("12", "purchase", order="z"),
        at("13", "refund", price=5.0, order="y"),
        at("13", "view_item_list", recommendation_id="a"), at("13", "select_item", recommendation_id="a"),
        at("14", "select_item", recommendation_id="a"), at("14", "select_item", item="i2", recommendation_id="b"),
        at("15", "purchase", price=99.0, flags=["bot"]),
        at("20", "purchase", price=99.0),  # no longer
    ])["u"]  # fmt: skip
    assert found["exposed_at"] == moment("2026-11-10")
    assert (found["shoppers"], found["buyers"], found["orders"], found["revenue"]) == (1.0, 1.0, 2.0, 11.0)
    assert (found["clicks"], found["lists"]) == (2.0, 2.0)
    before = {name: value for name, value in found.items() if name.startswith("before_")}
    assert before == {"before_buyers": 1.0, "before_orders": 1.0, "before_revenue": 5.0, "before_clicks": 1.0}
    assert found["arm"] == arm_of(ALL, "u")


def test_where_lists_are_shown_only_those_who_saw_one_count_and_from_then_on(spark: SparkSession) -> None:
    rows = [
        at("09", "view_item_list", "early", recommendation_id="a"), at("11", "purchase", "early", price=1.0),
        at("10", "purchase", "u", price=7.0),
        at("11", "view_item_list", "u", recommendation_id="a"), at("11 00:01", "purchase", "u", price=2.0),
        at("11", "select_item", "clicks only", recommendation_id="a"),
        at("11", "view_item_list", "unnamed"),
        at("20", "view_item_list", "late", recommendation_id="a"),
    ]  # fmt: skip
    found = measured(spark, rows, by_impressions=True)
    assert set(found) == {"u"}
    # What was bought after the start and before the list belongs to neither time.
    assert (found["u"]["revenue"], found["u"]["before_revenue"]) == (2.0, 0.0)
    assert set(measured(spark, rows)) == {"early", "u", "clicks only", "unnamed"}


def test_shoppers_without_an_arm_or_an_id_are_left_out_and_anonymous_ones_are_not(spark: SparkSession) -> None:
    rows = [at("11", "view_item", user=f"u{n}") for n in range(40)]
    rows += [at("11", "view_item", user=None, anonymous_id="x"), at("11", "view_item", user=None)]
    small = experiment(0.2, 0.1, starts=moment("2026-11-10"))
    found = measured(spark, rows, experiment=small)
    expected = {name: arm_of(small, name) for name in [*(f"u{n}" for n in range(40)), "anon:x"]}
    assert {name: row["arm"] for name, row in found.items()} == {name: arm for name, arm in expected.items() if arm}
    assert 0 < len(found) < 41


def test_without_days_before_there_is_no_covariate(spark: SparkSession) -> None:
    rows = [at("09", "purchase", price=2.0), at("10", "view_item")]
    assert measured(spark, rows, covariate_days=0)["u"]["before_revenue"] == 0.0
    assert measured(spark, rows, covariate_days=1)["u"]["before_revenue"] == 2.0


def test_moments_are_those_of_the_values(spark: SparkSession) -> None:
    rng, rows = np.random.default_rng(2), []
    for n in range(60):
        for _ in range(int(rng.integers(1, 5))):
            day = moment("2026-11-05") + timedelta(days=float(rng.uniform(0, 14)))
            name, listed = str(rng.choice(["purchase", "select_item", "view_item_list"])), f"r{rng.integers(3)}"
            rows.append(event(name, user=f"u{n}", at=day, price=float(rng.gamma(2.0)), recommendation_id=listed))
    metrics = list(METRICS)
    options = {"until": UNTIL, "covariate_days": 7, "by_impressions": False}
    frame = shopper_measures(events_frame(spark, rows), replace(ALL, metric="revenue"), **options)
    shoppers = [row.asDict() for row in frame.collect()]
    found = moments_of([row.asDict() for row in arm_moments(frame, metrics).collect()], metrics)
    assert set(found) == {"control", "b"}
    for arm, by_metric in found.items():
        own = [row for row in shoppers if row["arm"] == arm]
        for metric, moments in by_metric.items():
            top, below = METRICS[metric]
            values = ArmMoments.of_values(*([row[name] for row in own] for name in (top, below, f"before_{top}")))
            assert moments.shoppers == values.shoppers == len(own)
            assert moments.mean == pytest.approx(values.mean)
            assert moments.covariance == pytest.approx(values.covariance)


def test_a_single_shopper_has_no_covariance(spark: SparkSession) -> None:
    frame = shopper_measures(events_frame(spark, [at("11", "purchase", price=3.0)]), ALL, until=UNTIL, covariate_days=7,
                             by_impressions=False)  # fmt: skip
    (found,) = moments_of([row.asDict() for row in arm_moments(frame, ["revenue"]).collect()], ["revenue"]).values()
    assert (found["revenue"].shoppers, found["revenue"].value) == (1, 3.0)
    assert not found["revenue"].covariance.any()
