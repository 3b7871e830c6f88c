"""What baselines count, and which of them are tried and chosen."""

from datetime import datetime

import pytest
from pyspark.sql import SparkSession

from freshet.evaluation.baseline_strengths import baseline_candidates, baseline_strengths, best_of_families
from freshet.evaluation.baselines import FAMILIES, Baseline
from tests.factories import local_frame

AS_OF = datetime(2020, 3, 1)


def test_strengths_count_orders_once_with_decay_and_windows(spark: SparkSession) -> None:
    orders = [
        ("o1", "2020-02-20 00:00"),  # 10 days old
        ("o1", "2020-02-19 23:00"),  # another line of it: no order of its own
        ("o2", "2020-02-10 00:00"),  # 20 days old
        ("o3", "2020-03-01 00:00"),  # not before as_of
        (None, "2020-02-25 00:00"),  # of no order
    ]
    rows = [{"user_id": "u", "item_id": "i", "order_id": order, "event_time": time} for order, time in orders]
    frame = local_frame(spark, "user_id string, item_id string, order_id string, event_time timestamp", rows)
    [row] = baseline_strengths(frame, as_of=AS_OF, half_lives_days=[10.0, 0.0], windows_days=[10, 14]).collect()
    assert row.asDict() == pytest.approx(
        {
            "user_id": "u",
            "item_id": "i",
            "all": 2.0,
            "any": 1.0,
            "hl_10d": 0.75,
            "newest_10d": 0.5,
            "last_10d": 1.0,
            "last_14d": 1.0,
        }
    )


@pytest.mark.unit
def test_candidates_are_every_family_with_every_decay() -> None:
    candidates = baseline_candidates(half_lives_days=[0.0, 30.0], windows_days=[14])
    names = [candidate.name for candidate in candidates]
    assert names[:4] == ["popularity/all", "popularity/last_14d", "frequency/all", "frequency/hl_30d"]
    assert names[4:6] == ["item_knn_cosine/any", "item_knn_cosine/newest_30d"]
    assert len(names) == len(set(names)) == 2 * len(FAMILIES)


@pytest.mark.unit
def test_the_best_of_each_family_is_kept_and_popularity_of_all_time_too() -> None:
    figures = {
        "popularity/all": 0.1,
        "popularity/last_14d": 0.2,
        "popularity/last_30d": 0.2,
        "frequency/hl_180d": 0.4,
        "frequency/hl_30d": 0.3,
        "blend": 0.9,
    }
    assert set(best_of_families(figures)) == {
        Baseline("popularity", "all"),
        Baseline("popularity", "last_14d"),
        Baseline("frequency", "hl_180d"),
    }
