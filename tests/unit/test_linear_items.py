"""EASE against its closed formula, by loops."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pyspark.sql import SparkSession
from scipy.sparse import csr_matrix

from freshet.core.errors import SettingsError, SetupError
from freshet.models.items.linear_items import LinearItemParameters, linear_item_matrix, linear_item_weights
from freshet.numeric.sparse_products import largest
from tests.factories import local_frame

ROWS = "user_id string, item_id string, strength double"


def _ease(dense: NDArray[np.float64], reg: float) -> NDArray[np.float64]:
    """Weights [speaking, scored] of Steck 2019, eq. 8."""
    inverse = np.linalg.inv(dense.T @ dense + reg * np.eye(dense.shape[1]))
    weights = np.zeros_like(inverse)
    for i in range(len(inverse)):
        for j in range(len(inverse)):
            weights[i, j] = 0.0 if i == j else -inverse[i, j] / inverse[j, j]
    return weights


def _strengths(seed: int, shoppers: int = 30, items: int = 9) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    dense = rng.integers(1, 4, (shoppers, items)) * (rng.random((shoppers, items)) < 0.3)
    return dense.astype(np.float64)


@pytest.mark.parametrize("block_cells", [20, 16_000_000])
def test_weights_equal_the_closed_formula_where_nothing_is_cut(
    block_cells: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("freshet.numeric.damped_gram._BLOCK_CELLS", block_cells)
    dense = _strengths(1)
    found = linear_item_matrix(csr_matrix(dense), LinearItemParameters(3.0, count=9, dense_items=9)).toarray()
    np.testing.assert_allclose(found.T, _ease(dense, 3.0), rtol=2e-4, atol=2e-6)


def test_the_weights_minimise_the_regression_that_they_stand_for() -> None:
    """Column j: ridge regression of item j on all other items, each solved for itself (Steck 2019, section 3.1)."""
    dense, reg = _strengths(2), 1.7
    found = linear_item_matrix(csr_matrix(dense), LinearItemParameters(reg, count=9, dense_items=9)).toarray()
    for j in range(9):
        others = [i for i in range(9) if i != j]
        x = dense[:, others]
        own = np.linalg.solve(x.T @ x + reg * np.eye(8), x.T @ dense[:, j])
        np.testing.assert_allclose(found[j, others], own, rtol=1e-3, atol=1e-5)


def test_solving_few_items_exactly_loses_nothing_where_the_others_never_meet() -> None:
    dense = np.hstack([2.0 * _strengths(5, items=4), np.zeros((30, 5))])
    dense[np.arange(25), 4 + np.arange(25) % 5] = 1.0  # nobody has two of the last five
    exact = linear_item_matrix(csr_matrix(dense), LinearItemParameters(1.5, count=9, dense_items=9)).toarray()
    found = linear_item_matrix(csr_matrix(dense), LinearItemParameters(1.5, count=9, dense_items=4)).toarray()
    np.testing.assert_allclose(found, exact, rtol=1e-3, atol=1e-5)


def test_the_largest_in_size_are_kept_negative_ones_too() -> None:
    dense = _strengths(3)
    every = linear_item_matrix(csr_matrix(dense), LinearItemParameters(1.0, count=9, dense_items=9)).toarray()
    few = linear_item_matrix(csr_matrix(dense), LinearItemParameters(1.0, count=3, dense_items=9)).toarray()
    assert (few < 0).any()
    for row, cut in zip(every, few, strict=True):
        expected = np.lexsort((np.arange(9), -np.abs(row)))[:3].tolist()
        assert np.flatnonzero(cut).tolist() == sorted(expected)
        assert cut[expected].tolist() == row[expected].tolist()


def test_equal_weights_at_the_edge_go_to_the_lower_columns() -> None:
    weights = np.array([[0, 2, -2, 1, 2], [1, 1, 1, 1, 1], [0, 0, -3, 0, 0]], dtype=np.float32)
    assert largest(weights, 2).toarray().tolist() == [[0, 2, -2, 0, 0], [1, 1, 0, 0, 0], [0, 0, -3, 0, 0]]
    assert largest(weights, 9).toarray().tolist() == weights.tolist()


@pytest.mark.parametrize("shape", [(0, 0), (3, 0), (0, 4), (1, 1), (1, 4), (4, 1)])
def test_items_that_nobody_shares_have_no_weights(shape: tuple[int, int]) -> None:
    lonely = csr_matrix(np.eye(*shape))
    assert linear_item_matrix(lonely, LinearItemParameters(1.0, count=3, dense_items=2)).nnz == 0


def test_a_frame_gives_weights_by_id_and_leaves_out_what_is_no_strength(spark: SparkSession) -> None:
    dense = _strengths(4, shoppers=20, items=5)
    rows: list[dict[str, Any]] = [
        {"user_id": f"u{u:02d}", "item_id": f"i{i}", "strength": float(value)}
        for (u, i), value in np.ndenumerate(dense)  # zeros are rows too
    ]
    for n, wrong in enumerate((float("nan"), float("inf"), -1.0, None)):
        rows.append({"user_id": "u00", "item_id": f"odd{n}", "strength": wrong})
    params = LinearItemParameters(2.0, count=5, dense_items=5)
    found = linear_item_weights(local_frame(spark, ROWS, rows), params, threads=1, memory_gb=1.0).to_pylist()
    expected = _ease(dense, 2.0)
    assert [row["item_id"] for row in found] == [f"i{i}" for i in range(5)]
    for j, row in enumerate(found):
        weights = [entry["weight"] for entry in row["neighbours"]]
        assert weights == sorted(weights, reverse=True)
        by_id = {entry["item_id"]: entry["weight"] for entry in row["neighbours"]}
        assert by_id == {
            f"i{i}": pytest.approx(value, rel=1e-3, abs=1e-5) for i, value in enumerate(expected[:, j]) if value
        }


def test_what_does_not_fit_is_reported_before_it_is_tried(spark: SparkSession) -> None:
    frame = local_frame(spark, ROWS, [{"user_id": "u", "item_id": i, "strength": 1.0} for i in "ab"])
    params = LinearItemParameters(1.0, count=5, dense_items=5)
    with pytest.raises(SetupError, match=r"item_models.memory_gb: .*at most 0.001 GB; found 0.3 GB for 2 items"):
        linear_item_weights(frame, params, threads=1, memory_gb=0.001)
    assert linear_item_weights(frame.where("false"), params, threads=1, memory_gb=1.0).num_rows == 0


def test_a_damping_that_cannot_be_solved_is_reported_as_a_setting(spark: SparkSession) -> None:
    twins = [{"user_id": u, "item_id": i, "strength": 1000.0} for u in "uv" for i in "abc"]
    params = LinearItemParameters(1e-9, count=5, dense_items=5)
    with pytest.raises(SettingsError, match="reg_param 1e-09: the damping is too small"):
        linear_item_weights(local_frame(spark, ROWS, twins), params, threads=1, memory_gb=1.0)


@pytest.mark.parametrize("wrong", [(0.0, 1, 1), (1.0, 0, 1), (1.0, 1, 0), (float("nan"), 1, 1)])
def test_impossible_parameters_are_refused(wrong: tuple[float, int, int]) -> None:
    with pytest.raises(ValueError, match="must be"):
        LinearItemParameters(*wrong)
