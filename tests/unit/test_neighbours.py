"""Item neighbours against loops over all pairs."""

import math
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from pyspark.sql import SparkSession
from scipy.sparse import csr_matrix

from freshet.models.items.item_model import FitLimits, FittedWeights, TrainingData
from freshet.models.items.neighbours import (
    NeighbourConfiguration,
    NeighbourParameters,
    Neighbours,
    NeighbourSettings,
    item_neighbours,
    similar_items_matrix,
)
from freshet.ranking.histories.history_block import read_block
from tests.artifacts import CLOCK, bought, histories
from tests.factories import local_frame
from tests.oracles_recommendation import neighbours_of


def _strengths(rng: np.random.Generator, shoppers: int, items: int) -> NDArray[np.float64]:
    dense = rng.integers(1, 4, (shoppers, items)) * (rng.random((shoppers, items)) < 0.25)
    return dense.astype(np.float64)


@pytest.mark.parametrize(("asymmetry", "shrinkage"), [(1.0, 0.0), (1.4, 10.0), (0.0, 1.0), (2.0, 0.0)])
def test_neighbours_equal_a_loop_over_all_pairs(asymmetry: float, shrinkage: float) -> None:
    dense = _strengths(np.random.default_rng(2), 25, 14)
    found = similar_items_matrix(csr_matrix(dense), NeighbourParameters(4, asymmetry, shrinkage))
    for j, expected in enumerate(neighbours_of(dense, 4, asymmetry, shrinkage)):
        row = dict(zip(found[j].indices.tolist(), found[j].data.tolist(), strict=True))
        assert set(row) == {i for i, _ in expected}
        for i, value in expected:
            assert row[i] == pytest.approx(value, rel=1e-6)


def test_ties_go_to_the_lower_column_and_no_item_is_its_own_neighbour() -> None:
    dense = np.ones((3, 5))
    found = similar_items_matrix(csr_matrix(dense), NeighbourParameters(2, 1.0, 0.0)).toarray()
    assert [np.flatnonzero(row).tolist() for row in found] == [[1, 2], [0, 2], [0, 1], [0, 1], [0, 1]]


@pytest.mark.parametrize("shape", [(0, 0), (3, 0), (2, 1), (2, 3)])
def test_without_pairs_there_are_no_neighbours(shape: tuple[int, int]) -> None:
    found = similar_items_matrix(csr_matrix(np.eye(*shape)), NeighbourParameters(2, 1.0, 0.0))
    assert found.shape == (shape[1], shape[1])
    assert found.nnz == 0


def test_a_frame_gives_neighbours_nearest_first_and_no_row_without_any(spark: SparkSession) -> None:
    dense = _strengths(np.random.default_rng(5), 20, 9)
    dense[:, 8] = 0  # nobody has item 8

    rows: list[dict[str, Any]] = [
        {"user_id": f"u{u:02d}", "item_id": f"i{i}", "strength": float(value)}
        for (u, i), value in np.ndenumerate(dense)
    ]
    frame = local_frame(spark, "user_id string, item_id string, strength double", rows)
    params = NeighbourParameters(3, 1.4, 2.0)
    found = {row["item_id"]: row["neighbours"] for row in item_neighbours(frame, params, threads=1).to_pylist()}
    expected = {f"i{j}": pairs for j, pairs in enumerate(neighbours_of(dense, 3, 1.4, 2.0)) if pairs}
    assert "i8" not in found
    assert set(found) == set(expected)
    for item, pairs in expected.items():
        assert [entry["item_id"] for entry in found[item]] == [f"i{i}" for i, _ in pairs]
        values = [value for _, value in pairs]
        np.testing.assert_allclose([entry["weight"] for entry in found[item]], values, rtol=1e-6)


@pytest.mark.parametrize("wrong", [(0, 1.0, 0.0), (1, 2.1, 0.0), (1, 1.0, -1.0)])
def test_impossible_parameters_are_refused(wrong: tuple[int, float, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        NeighbourParameters(*wrong)


def test_neighbours_of_a_long_tail_equal_those_of_a_dense_product() -> None:
    rng = np.random.default_rng(9)
    dense = rng.integers(1, 3, (60, 400)) * (rng.random((60, 400)) < 0.4 / (1 + np.arange(400) / 8))
    found = similar_items_matrix(csr_matrix(dense.astype(float)), NeighbourParameters(6, 1.4, 10.0)).toarray()
    norms = np.sqrt((dense**2).sum(axis=0))
    values = (dense.T @ dense / (np.outer(norms**0.6, norms**1.4) + 10.0 + 1e-12)).astype(np.float32)
    np.fill_diagonal(values, 0.0)
    for item in range(400):
        nearest = sorted(np.flatnonzero(values[item] > 0), key=lambda n: (-values[item, n], n))[:6]
        assert np.flatnonzero(found[item]).tolist() == sorted(nearest)
        assert found[item, nearest] == pytest.approx(values[item, nearest], rel=1e-6)


def test_looking_at_an_item_again_changes_nothing_where_items_count_once(spark: SparkSession) -> None:
    """Of three shoppers one looks ten times at a, others once; what counts is the time of the newest look."""
    as_of = datetime(2025, 1, 11)
    looks = [("u1", "a", 10), ("u1", "b", 10), ("u2", "a", 0), ("u2", "c", 10), ("u3", "b", 10)]
    again = [*looks, *[("u1", "a", 10 + day) for day in range(1, 10)]]
    model, limits = Neighbours(), FitLimits(100, 1.0, 1)
    once = NeighbourConfiguration(5, 1.0, 0.0, 10.0, once=True)

    def weights(rows: list[tuple[str, str, int]]) -> dict[tuple[str, str], float]:
        sequences = local_frame(
            spark, "user_id string, item_id string, position timestamp",
            [{"user_id": user, "item_id": item, "position": as_of - timedelta(days=days)} for user, item, days in rows],
        )  # fmt: skip
        data = TrainingData(lambda days, least: sequences.limit(0), sequences, pa.table({"item_id": []}), as_of)
        found = model.fit(once, data, limits).to_pylist()
        return {(row["item_id"], one["item_id"]): one["weight"] for row in found for one in row["neighbours"]}

    found = weights(looks)
    # a: (1/2, 1, 0), b: (1/2, 0, 1/2), c: (0, 1/2, 0) of u1, u2 and u3.
    assert found["a", "b"] == pytest.approx(0.25 / math.sqrt(1.25 * 0.5))
    assert found["a", "c"] == pytest.approx(0.5 / math.sqrt(1.25 * 0.25))
    assert ("b", "c") not in found
    assert weights(again) == found
    assert model.half_lives(once) == set()


def test_inputs_are_the_newest_event_where_items_count_once() -> None:
    history = [bought("a", 10), bought("a", 20), bought("b", 20)]
    block = read_block(histories(history), items=pa.array(["a", "b"]), event_names=["purchase"], clock=CLOCK)
    model, fitted = Neighbours(), FittedWeights(csr_matrix((2, 2), dtype=np.float32))

    def inputs(once: bool) -> list[float]:
        configuration = NeighbourConfiguration(5, 1.0, 0.0, 10.0, once=once)
        return model.inputs(configuration, block, event_weights=np.ones(1), fitted=fitted).toarray()[0].tolist()

    assert inputs(True) == [0.5, 0.25]
    assert inputs(False) == [0.75, 0.25]


def test_every_half_life_is_an_option_and_the_first_serves_without_a_search() -> None:
    options = Neighbours().options(NeighbourSettings((50, 20), (60.0, 0.0), (180.0,), 1.4, 10.0))
    assert [(one.count, one.half_life_days, one.once) for one in options] == [
        (50, 60.0, False), (20, 60.0, False), (50, None, False), (20, None, False), (50, 180.0, True),
        (20, 180.0, True),
    ]  # fmt: skip
