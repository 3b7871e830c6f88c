"""Rows as blocks: vectors as Spark hands them out, and moments over tasks."""

import numpy as np
import pyarrow as pa
import pytest

from freshet.numeric.blocks import BLOCK_ROWS, Moments, alike, cut, moments, standardized, vectors
from tests.gang import in_tasks

pytestmark = pytest.mark.unit

VECTOR = pa.struct(
    [("type", pa.int8()), ("size", pa.int32()), ("indices", pa.list_(pa.int32())), ("values", pa.list_(pa.float64()))]
)


def dense(*values: float) -> dict[str, object]:
    return {"type": 1, "size": None, "indices": None, "values": list(values)}


def sparse(size: int, **values: float) -> dict[str, object]:
    """Vector with value x at place n for each argument _n=x."""
    places = [int(name[1:]) for name in values]
    return {"type": 0, "size": size, "indices": places, "values": list(values.values())}


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ([dense(1, 2), dense(3, 4)], [[1, 2], [3, 4]]),
        ([sparse(3, _1=5.0), sparse(3), sparse(3, _0=1.0, _2=2.0)], [[0, 5, 0], [0, 0, 0], [1, 0, 2]]),
        ([dense(1, 2, 3), sparse(3, _2=4.0), dense(5, 0, 6)], [[1, 2, 3], [0, 0, 4], [5, 0, 6]]),
    ],
)
def test_dense_and_sparse_vectors_become_rows(column: list[dict[str, object]], expected: list[list[float]]) -> None:
    whole = pa.array(column, VECTOR)
    assert vectors(whole).tolist() == expected
    # A batch may be a part of a longer one.
    assert vectors(whole.slice(1)).tolist() == expected[1:]


def weighted(parts: list[tuple[np.ndarray, np.ndarray]]) -> Moments:
    return in_tasks(lambda part, peers: moments([part], part[0].shape[1], peers), parts)[0]


@pytest.mark.parametrize("tasks", [1, 3])
def test_moments_are_those_of_all_rows(tasks: int) -> None:
    rows = np.random.default_rng(1).normal(1e6, 2.0, (500, 3))
    found = weighted([(rows[rank::tasks], np.ones(len(rows[rank::tasks]))) for rank in range(tasks)])
    assert found.mean == pytest.approx(rows.mean(axis=0), rel=1e-12)
    assert found.deviation == pytest.approx(rows.std(axis=0, ddof=1), rel=1e-9)
    assert found.weight == 500


def test_blocks_of_one_task_are_joined_like_tasks() -> None:
    rows = np.random.default_rng(2).normal(size=(3 * BLOCK_ROWS, 2)) + np.repeat([0.0, 5.0, -9.0], BLOCK_ROWS)[:, None]
    found = in_tasks(lambda part, peers: moments(alike(part), 2, peers), [rows])[0]
    assert found.deviation == pytest.approx(rows.std(axis=0, ddof=1), rel=1e-12)
    assert len(list(cut(rows))) == 3


def test_the_divisor_of_weighted_rows_is_mllibs() -> None:
    """By hand: weights 1 and 3 on 0 and 4: mean 3, squares 9 + 3 = 12, divisor 4 - 10 / 4 = 1.5."""
    found = weighted([(np.array([[0.0]]), np.array([1.0])), (np.array([[4.0]]), np.array([3.0]))])
    assert found.mean.tolist() == [3.0]
    assert found.deviation == pytest.approx([np.sqrt(8.0)])


def test_a_constant_column_has_no_deviation_and_becomes_0() -> None:
    rows = np.full((1000, 1), 0.1)
    found = weighted([(rows, np.ones(1000)), (rows[:7], np.ones(7))])
    assert found.deviation.tolist() == [0.0]
    assert standardized(rows, found) == pytest.approx(np.zeros((1000, 1)), abs=1e-12)


def test_no_rows_make_zeros_and_nan_stays_nan() -> None:
    none = weighted([(np.zeros((0, 2)), np.zeros(0)), (np.zeros((0, 2)), np.zeros(0))])
    assert (none.mean.tolist(), none.deviation.tolist(), none.weight) == ([0.0, 0.0], [0.0, 0.0], 0.0)
    some = weighted([(np.array([[1.0, np.nan], [3.0, 1.0]]), np.ones(2))])
    assert some.mean[0] == 2.0
    assert np.isnan(some.mean[1])
