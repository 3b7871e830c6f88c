"""Bootstrap intervals: their weights, their width, and that neither order nor company matter."""

import numpy as np
import pyarrow as pa
import pytest

from freshet.core.errors import InputError
from freshet.evaluation.bootstrap import poisson_weights, with_intervals

HASHES = np.random.default_rng(9).integers(-(2**63), 2**63, 5_000)
"""Of shoppers 0, 1, 2 ..."""


def values_table(values: list[float | None], group: str = "g") -> pa.Table:
    return pa.table(
        {
            "group": pa.array([group] * len(values), pa.string()),
            "user_hash": pa.array(HASHES[: len(values)], pa.int64()),
            "value": pa.array(values, pa.float64()),
        }
    )


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


def test_interval_has_the_width_of_the_normal_approximation() -> None:
    values = np.random.default_rng(1).normal(0.5, 0.2, 2000)
    [row] = with_intervals(values_table(values.tolist()), by=["group"], samples=2000)
    error = values.std() / np.sqrt(len(values))
    assert row["value"] == pytest.approx(values.mean(), abs=1e-9)
    assert row["low"] == pytest.approx(values.mean() - 1.96 * error, abs=0.15 * error)
    assert row["high"] == pytest.approx(values.mean() + 1.96 * error, abs=0.15 * error)


def test_intervals_cover_the_true_mean_about_as_often_as_they_say() -> None:
    # 300 experiments of 80 shoppers, each shopper a coin with mean 0.3: 95 % +- sampling of the experiments.
    chance = np.random.default_rng(2)
    table = pa.table(
        {
            "group": np.repeat([f"g{n}" for n in range(300)], 80),
            "user_hash": chance.integers(-(2**63), 2**63, 300 * 80),
            "value": (chance.random(300 * 80) < 0.3).astype(float),
        }
    )
    found = with_intervals(table, by=["group"], samples=400)
    covered = np.mean([row["low"] <= 0.3 <= row["high"] for row in found])
    assert len(found) == 300
    assert 0.90 <= covered <= 0.985


def test_the_interval_is_that_of_the_means_under_the_drawn_weights() -> None:
    # More shoppers than are drawn for at once.
    values = np.random.default_rng(3).random(5_000)
    weights = poisson_weights(HASHES.view(np.uint64), 200).astype(float)
    means = values @ weights / weights.sum(axis=0)
    [row] = with_intervals(values_table(values.tolist()), by=["group"], samples=200)
    assert [row["low"], row["high"]] == pytest.approx(np.quantile(means, [0.025, 0.975]).tolist(), abs=1e-9)


def test_results_depend_neither_on_the_order_of_rows_nor_on_other_groups() -> None:
    values: list[float | None] = np.random.default_rng(3).random(5_000).tolist()
    table, chance = values_table(values), np.random.default_rng(4)
    alone = with_intervals(table, by=["group"], samples=200)
    for _ in range(5):
        shuffled = table.take(pa.array(chance.permutation(5_000)))
        crowd = pa.concat_tables([values_table(values[:70], "a"), shuffled, values_table(values[:90], "z")])
        crowd = crowd.take(pa.array(chance.permutation(len(crowd))))
        assert [one["group"] for one in with_intervals(crowd, by=["group"], samples=1)] == ["a", "g", "z"]
        # To the last bit.
        assert [one for one in with_intervals(crowd, by=["group"], samples=200) if one["group"] == "g"] == alone


def test_without_groups_all_rows_are_one() -> None:
    alone = with_intervals(values_table([0.0, 1.0, 0.5]).drop(["group"]), by=[], samples=200)
    [grouped] = with_intervals(values_table([0.0, 1.0, 0.5]), by=["group"], samples=200)
    assert [{"group": "g", **row} for row in alone] == [grouped]
    assert alone[0]["value"] == 0.5


def test_nulls_are_left_out_and_empty_input_gives_no_row() -> None:
    [row] = with_intervals(values_table([1.0, None, 0.0]), by=["group"], samples=200)
    assert (row["users"], row["value"]) == (2, 0.5)
    assert with_intervals(values_table([]), by=["group"], samples=200) == []


def test_no_samples_are_refused() -> None:
    with pytest.raises(InputError, match="at least one sample"):
        with_intervals(values_table([1.0]), by=["group"], samples=0)
