"""Features of shoppers and items and labels, against plain Python and on data whose answer is known."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from freshet.contracts import ITEM_FEATURES, USER_FEATURES
from freshet.features.interactions import InteractionParameters, interactions
from freshet.features.items import item_features
from freshet.features.labels import labels
from freshet.features.users import user_features, user_features_at
from freshet.features.vector import (
    PROPENSITY_COLUMNS,
    SEGMENT_COLUMNS,
    SEGMENT_COLUMNS_WITHOUT_ORDERS,
    model_input,
)
from tests import oracles_features as oracle
from tests.factories import event, events_frame, frame, moment

CUTS = [datetime(2020, 2, 1), datetime(2020, 7, 15, 6), datetime(2020, 12, 1), datetime(2021, 6, 1)]
SHOP = ["purchase", "purchase", "refund", "view_item", "add_to_cart", "search", "view_item_list"]


def rows_by(df: DataFrame, *keys: str) -> dict[Any, dict[str, Any]]:
    """Rows by the values of `keys`, without them."""
    rows = [row.asDict() for row in df.collect()]
    found = {tuple(row.pop(key) for key in keys) if len(keys) > 1 else row.pop(keys[0]): row for row in rows}
    assert len(found) == len(rows)
    return found


@pytest.mark.parametrize(("seed", "names", "priced"), [(1, SHOP, True), (2, ["view_item"], True), (3, SHOP, False)])
def test_user_features_at_several_cuts_equal_the_plain_count(
    spark: SparkSession, seed: int, names: list[str], priced: bool
) -> None:
    rows = oracle.random_events(seed, count=400, names=names, priced=priced)
    made = user_features_at(events_frame(spark, rows), [*reversed(CUTS), CUTS[0]])
    assert USER_FEATURES.schema_problems(made.schema) == []
    wanted = {(cut, user): row for cut in CUTS for user, row in oracle.user_features(rows, cut).items()}
    oracle.assert_same(rows_by(made, "as_of", "user_id"), wanted)


def test_user_features_of_one_date_are_those_of_that_cut(spark: SparkSession) -> None:
    rows = oracle.random_events(4, count=200, names=SHOP)
    found = rows_by(user_features(events_frame(spark, rows), as_of=CUTS[1]).drop("as_of"), "user_id")
    oracle.assert_same(found, oracle.user_features(rows, CUTS[1]))


def test_user_features_by_hand(spark: SparkSession) -> None:
    rows = [
        # Two baskets of two and one items, ten days apart, one of their lines sent twice by mistake.
        event(item="i1", at="2020-01-01 12:00", order="o1", quantity=2.0, price=5.0),
        event(item="i2", at="2020-01-01 12:00", order="o1", quantity=1.0, price=4.0),
        event(item="i2", at="2020-01-11 00:00", order="o2", quantity=3.0, price=1.0),
        event("refund", item="i1", at="2020-01-12 00:00", order="c1", quantity=1.0, price=5.0),
        event("view_item", item="i3", at="2019-12-01"),
        event(item="postage", at="2020-01-20", order="o1", price=9.0, flags=["non_product"]),
    ]
    found = rows_by(user_features(events_frame(spark, rows), as_of=moment("2020-02-01")), "user_id")["u1"]
    assert {name: found[name] for name in ("recency_days", "idle_days", "tenure_days")} == {
        "recency_days": 21.0,
        "idle_days": 20.0,
        "tenure_days": 62.0,
    }
    assert (found["orders"], found["refunds"], found["monetary"], found["return_rate"]) == (2, 1, 12.0, 1 / 3)
    assert (found["mean_gap_days"], found["sd_gap_days"], found["mean_basket_items"]) == (10.0, None, 1.5)
    assert (found["orders_30d"], found["monetary_30d"], found["items_30d"], found["items_breadth"]) == (1, -2.0, 2, 3)


@pytest.mark.parametrize("target", ["purchase", "view_item"])
def test_item_features_equal_the_plain_count(spark: SparkSession, target: str) -> None:
    rows = oracle.random_events(5, count=500, names=SHOP)
    made = item_features(events_frame(spark, rows), as_of=CUTS[2], target=target)
    assert ITEM_FEATURES.schema_problems(made.schema) == []
    oracle.assert_same(rows_by(made.drop("as_of"), "item_id"), oracle.item_features(rows, CUTS[2], target))


def test_item_features_without_prices_and_targets_are_null_or_zero(spark: SparkSession) -> None:
    rows = [event("view_item", item="seen", at="2020-01-01"), event(user=None, item="sold to nobody", at="2020-01-01")]
    found = rows_by(item_features(events_frame(spark, rows), as_of=CUTS[0], target="purchase"), "item_id")
    seen = found["seen"]
    assert (seen["shoppers"], seen["trend"], seen["price"], seen["return_rate"]) == (0, 0.0, None, None)
    assert (seen["repeat_rate"], seen["last_seen"], seen["first_seen"]) == (None, None, moment("2020-01-01"))
    assert (found["sold to nobody"]["shoppers"], found["sold to nobody"]["return_rate"]) == (0, 0.0)


@pytest.mark.parametrize("horizon_days", [30, 200])
def test_labels_equal_the_plain_count(spark: SparkSession, horizon_days: int) -> None:
    rows = oracle.random_events(6, count=60, names=["purchase", "view_item"])
    made = labels(events_frame(spark, rows), cuts=CUTS, horizon_days=horizon_days, target="purchase")
    wanted = oracle.labels(rows, CUTS, horizon_days, "purchase")
    assert {(row.as_of, row.user_id): row.label for row in made.collect()} == wanted
    assert set(wanted.values()) == {0, 1}


def test_labels_begin_with_the_cut_and_end_before_the_horizon(spark: SparkSession) -> None:
    cut = moment("2020-06-01")
    rows = [
        *[event("view_item", user=user, at="2020-01-01") for user in ("at cut", "at end", "before", "late")],
        event(user="at cut", at=cut),
        event(user="at end", at=cut + timedelta(days=30)),
        event(user="before", at=cut - timedelta(microseconds=1)),
        event(user="late", at=cut + timedelta(days=29), received=cut + timedelta(days=99)),
        event(user="newcomer", at=cut + timedelta(days=1)),
    ]
    made = labels(events_frame(spark, rows), cuts=[cut], horizon_days=30, target="purchase")
    assert {row.user_id: row.label for row in made.collect()} == {"at cut": 1, "at end": 0, "before": 0, "late": 1}


def test_nothing_that_comes_or_is_received_later_moves_an_earlier_date(spark: SparkSession) -> None:
    as_of = CUTS[1]
    rows = oracle.random_events(7, count=300, names=SHOP)
    known = [row for row in rows if max(row["event_time"], row["received_time"]) < as_of]
    assert 0 < len(known) < len(rows)
    # So few events count that later ones, were they known, would take the place of earlier ones.
    params = InteractionParameters(weights={"purchase": 1.0, "view_item": 0.25}, half_life_days=30.0, max_events=10)
    for keys, made in (
        (["user_id"], lambda df: user_features_at(df, CUTS[:2])),
        (["item_id"], lambda df: item_features(df, as_of=as_of, target="purchase")),
        (["user_id", "item_id"], lambda df: interactions(df, as_of=as_of, half_life_days=30.0, params=params)),
    ):
        with_all, with_known = made(events_frame(spark, rows)), made(events_frame(spark, known))
        assert rows_by(with_all, "as_of", *keys) == rows_by(with_known, "as_of", *keys) != {}


def test_no_events_and_no_cuts(spark: SparkSession) -> None:
    nothing = events_frame(spark, [])
    assert user_features(nothing, as_of=CUTS[0]).collect() == []
    assert item_features(nothing, as_of=CUTS[0], target="purchase").collect() == []
    assert labels(nothing, cuts=CUTS, horizon_days=30, target="purchase").collect() == []
    with pytest.raises(ValueError, match="at least one cut"):
        user_features_at(nothing, [])


def test_model_input_is_never_null_and_marks_what_was_missing(spark: SparkSession) -> None:
    only_seen = {"user_id": "seen", "tenure_days": 9.0, "monetary": 0.0}
    bought = {"user_id": "bought", "recency_days": 7.0, "monetary": -3.0, "mean_gap_days": 3.0, "return_rate": 0.5}
    features = frame(spark, USER_FEATURES, [only_seen, bought])
    found = rows_by(model_input(features), "user_id")
    assert set(found["seen"]) == {*USER_FEATURES.column_names, *PROPENSITY_COLUMNS} - {"user_id"}
    assert {*SEGMENT_COLUMNS, *SEGMENT_COLUMNS_WITHOUT_ORDERS} <= set(PROPENSITY_COLUMNS)
    assert all(isinstance(row[name], float) for row in found.values() for name in PROPENSITY_COLUMNS)
    seen, bought_row = found["seen"], found["bought"]
    assert (seen["log_recency_days"], seen["no_recency_days"], seen["no_monetary"], seen["overdue"]) == pytest.approx(
        (2.302585093, 1.0, 0.0, 0.0)
    )
    assert (bought_row["log_monetary"], bought_row["overdue"], bought_row["share_returned"]) == pytest.approx(
        (-1.386294361, 0.693147181, 0.5)
    )
    assert (bought_row["no_recency_days"], bought_row["no_sd_gap_days"]) == (0.0, 1.0)
