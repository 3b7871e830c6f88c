"""Integer ids, and what the factor model is fitted on."""

from datetime import datetime
from typing import Any

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession

from freshet.errors import DataTooSmallError
from freshet.models.als import AlsParameters, fit_als, indexed
from tests.factories import days, local_frame

START = datetime(2020, 1, 1)


def _interactions(spark: SparkSession, *rows: tuple[str, str, float, float | None]) -> DataFrame:
    """Rows (user, item, day first seen, strength)."""
    values: list[dict[str, Any]] = [
        {"user_id": user, "item_id": item, "first_time": START + days(day), "strength": strength}
        for user, item, day, strength in rows
    ]
    return local_frame(spark, "user_id string, item_id string, first_time timestamp, strength double", values)


def test_ids_follow_first_appearance_so_that_later_data_only_append(spark: SparkSession) -> None:
    early = [("zoe", "b", 1, 1.0), ("ann", "a", 2, 1.0), ("bob", "a", 2, 0.0), ("zoe", "c", 3, 1.0)]
    late = [*early, ("aaa", "b", 9, 1.0), ("ann", "0", 8, 1.0)]
    frames = _interactions(spark, *early), _interactions(spark, *late)
    before, after = [
        {row["user_id"]: row["index"] for row in indexed(f, column="user_id", index="index").collect()} for f in frames
    ]
    assert before == {"zoe": 0, "ann": 1, "bob": 2}
    assert after == {**before, "aaa": 3}


def test_a_rank_above_the_items_is_fitted_and_rows_without_positive_strength_count_for_nothing(
    spark: SparkSession,
) -> None:
    rows = [("u1", "a", 1, 2.0), ("u2", "b", 2, 1.0), ("u3", "c", 3, 0.0), ("u3", "d", 3, None)]
    fitted = fit_als(_interactions(spark, *rows), AlsParameters(5, 2, 0.1, 1.0, 1))
    items = {row["item_id"]: (row["item_index"], row["factors"]) for row in fitted.item_factors.collect()}
    assert {item: index for item, (index, _) in items.items()} == {"a": 0, "b": 1}
    assert all(len(factors) == 5 and np.isfinite(factors).all() for _, factors in items.values())


def test_no_positive_strength_is_too_little_data(spark: SparkSession) -> None:
    with pytest.raises(DataTooSmallError, match="positive strength"):
        fit_als(_interactions(spark, ("u1", "a", 1, 0.0)), AlsParameters(2, 1, 0.1, 1.0, 1))


@pytest.mark.parametrize("wrong", [(0, 1, 0.1, 1.0), (1, 0, 0.1, 1.0), (1, 1, -0.1, 1.0), (1, 1, 0.1, -1.0)])
def test_impossible_parameters_are_refused(wrong: tuple[int, int, float, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        AlsParameters(*wrong, seed=1)
