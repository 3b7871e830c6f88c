"""Bootstrap intervals: their weights, their width, and that partitions do not matter."""

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession

from freshet.errors import InputError
from freshet.evaluation.bootstrap import poisson_weights, with_intervals
from tests.factories import local_frame


def values_frame(spark: SparkSession, values: list[float | None], group: str = "g") -> DataFrame:
    rows = [{"group": group, "user_id": f"u{n}", "value": value} for n, value in enumerate(values)]
    return local_frame(spark, "group string, user_id string, value double", rows)


def test_weights_are_poisson_and_independent_between_shoppers_and_resamples() -> None:
    hashes = np.random.default_rng(5).integers(0, 2**64, 2000, dtype=np.uint64)
    weights = poisson_weights(hashes, 999).astype(float)
    assert weights.shape == (2000, 999)
    shares = np.bincount(weights.astype(int).ravel(), minlength=5) / weights.size
    assert shares[:4] == pytest.approx([0.36788, 0.36788, 0.18394, 0.06131], abs=2e-3)
    assert weights.var() == pytest.approx(1.0, abs=0.01)
    # Neighbouring resamples, and neighbouring hashes, say nothing of each other.
    assert abs(np.corrcoef(weights[:, 0], weights[:, 1])[0, 1]) < 0.08
    near = poisson_weights(np.arange(2000, dtype=np.uint64), 100).astype(float)
    assert abs(np.corrcoef(near[:-1].ravel(), near[1:].ravel())[0, 1]) < 0.02


def test_equal_hashes_draw_equal_weights_in_any_company() -> None:
    alone = poisson_weights(np.array([42], dtype=np.uint64), 10)
    crowd = poisson_weights(np.array([7, 42, 9], dtype=np.uint64), 10)
    assert (alone[0] == crowd[1]).all()


def test_interval_has_the_width_of_the_normal_approximation(spark: SparkSession) -> None:
    values = np.random.default_rng(1).normal(0.5, 0.2, 2000)
    [row] = with_intervals(values_frame(spark, values.tolist()), by=["group"], samples=2000, seed=1).collect()
    error = values.std() / np.sqrt(len(values))
    assert row["value"] == pytest.approx(values.mean(), abs=1e-9)
    assert row["low"] == pytest.approx(values.mean() - 1.96 * error, abs=0.15 * error)
    assert row["high"] == pytest.approx(values.mean() + 1.96 * error, abs=0.15 * error)


def test_intervals_cover_the_true_mean_about_as_often_as_they_say(spark: SparkSession) -> None:
    # 300 experiments of 80 shoppers, each shopper a coin with mean 0.3: 95 % +- sampling of the experiments.
    coins = (np.random.default_rng(2).random((300, 80)) < 0.3).astype(float)
    rows = [{"group": f"g{e}", "user_id": f"u{e}/{n}", "value": coins[e, n]} for e in range(300) for n in range(80)]
    frame = local_frame(spark, "group string, user_id string, value double", rows)
    found = with_intervals(frame, by=["group"], samples=400, seed=4).collect()
    covered = np.mean([row["low"] <= 0.3 <= row["high"] for row in found])
    assert len(found) == 300
    assert 0.90 <= covered <= 0.985


def test_results_do_not_depend_on_partitions_but_on_the_seed(spark: SparkSession) -> None:
    values: list[float | None] = np.random.default_rng(3).random(300).tolist()
    frame = values_frame(spark, values)
    one, many, other = (
        with_intervals(f, by=["group"], samples=200, seed=seed).collect()
        for f, seed in ((frame.coalesce(1), 1), (frame.repartition(7), 1), (frame.coalesce(1), 2))
    )
    assert one == many  # to the last bit
    assert one[0]["value"] == other[0]["value"]
    assert (one[0]["low"], one[0]["high"]) != (other[0]["low"], other[0]["high"])


def test_nulls_are_left_out_and_empty_input_gives_no_row(spark: SparkSession) -> None:
    [row] = with_intervals(values_frame(spark, [1.0, None, 0.0]), by=["group"], samples=200, seed=1).collect()
    assert (row["users"], row["value"]) == (2, 0.5)
    assert with_intervals(values_frame(spark, []), by=["group"], samples=200, seed=1).collect() == []


def test_no_samples_are_refused(spark: SparkSession) -> None:
    with pytest.raises(InputError, match="at least one sample"):
        with_intervals(values_frame(spark, [1.0]), by=["group"], samples=0, seed=1)
