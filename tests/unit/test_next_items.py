"""The next-item model against a ridge regression written out by loops, and on data with a known answer."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pyspark.sql import SparkSession

from freshet.core.errors import SetupError
from freshet.models.items.next_items import NextItemParameters, next_item_matrix, next_item_weights, transitions
from freshet.numeric.coded_rows import CodedRows
from tests.factories import local_frame

ROWS = "user_id string, item_id string, position double"
PARAMS = NextItemParameters(decay=0.8, steps=50, reg_param=2.0, co_occurrence=0.3, count=100, dense_items=100)

Row = tuple[int, float, int]
"""Shopper, position, item."""


def _coded(rows: Sequence[Row], items: int) -> CodedRows:
    users = 1 + max((user for user, _, _ in rows), default=-1)
    columns = [np.array([row[n] for row in rows]) for n in range(3)]
    ids = pa.array([f"i{n}" for n in range(items)], pa.string())
    return CodedRows(columns[0].astype(int), columns[2].astype(int), columns[1].astype(float), users, ids)


def _by_loops(rows: Sequence[Row], items: int, params: NextItemParameters) -> NDArray[np.float64]:
    """Weights [speaking, scored]."""
    states, nexts, together = [], [], np.zeros((items, items))
    for user in {user for user, _, _ in rows}:
        own = [(position, item) for shopper, position, item in rows if shopper == user]
        moments = sorted({position for position, _ in own})
        sets = [sorted({item for position, item in own if position == moment}) for moment in moments]
        for t in range(1, len(sets)):
            state, coming = np.zeros(items), np.zeros(items)
            for s in range(max(0, t - params.steps), t):
                for item in sets[s]:
                    state[item] += params.decay ** (t - 1 - s)
            coming[sets[t]] = 1.0
            states.append(state)
            nexts.append(coming)
        taken = {item for _, item in own}
        for i in taken:
            for j in taken:
                together[i, j] += i != j
    x, y = np.array(states).reshape(-1, items), np.array(nexts).reshape(-1, items)
    left = x.T @ x + params.reg_param * np.eye(items)
    weights: NDArray[np.float64] = np.linalg.solve(left, x.T @ y + params.co_occurrence * together)
    np.fill_diagonal(weights, 0.0)
    return weights


def _found(rows: Sequence[Row], items: int, params: NextItemParameters) -> NDArray[np.float32]:
    made = transitions(_coded(rows, items), decay=params.decay, steps=params.steps)
    weights: NDArray[np.float32] = next_item_matrix(made, params).toarray().T
    return weights


@pytest.mark.parametrize("steps", [1, 2, 50])
@given(rows=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 6).map(float), st.integers(0, 4)), max_size=25))
def test_weights_equal_a_regression_by_loops_ties_and_repeats_included(steps: int, rows: list[Row]) -> None:
    params = NextItemParameters(0.7, steps, 1.5, 0.25, count=5, dense_items=5)
    np.testing.assert_allclose(_found(rows, 5, params), _by_loops(rows, 5, params), rtol=1e-3, atol=1e-5)


def test_a_state_fades_by_step_and_a_tie_is_one_step() -> None:
    # Shopper 0: item 0, then 1 and 2 at the same moment, then 3. Shopper 1 has one step and so no transition.
    rows = [(0, 5.0, 3), (0, 1.0, 0), (0, 2.0, 2), (0, 2.0, 1), (1, 9.0, 0), (1, 9.0, 3)]
    made = transitions(_coded(rows, 4), decay=0.5, steps=10)
    assert made.states.toarray().tolist() == [[0, 0, 0, 0], [1, 0, 0, 0], [0.5, 1, 1, 0], [0, 0, 0, 0]]
    assert made.nexts.toarray()[1:3].tolist() == [[0, 1, 1, 0], [0, 0, 0, 1]]
    assert made.owned.toarray().tolist() == [[1, 1, 1, 1], [1, 0, 0, 1]]


def test_what_always_follows_is_learned_and_its_direction_too() -> None:
    """Shoppers walk a ring of ten items from different places: after i comes i + 1, never i - 1."""
    rows = [(user, float(t), (user + t) % 10) for user in range(40) for t in range(4)]
    params = NextItemParameters(0.5, 50, 0.1, 0.0, count=10, dense_items=10)
    weights = _found(rows, 10, params)
    assert weights.argmax(axis=1).tolist() == [(i + 1) % 10 for i in range(10)]
    assert all(weights[i, (i + 1) % 10] > 0.9 and weights[i, (i - 1) % 10] < 0.1 for i in range(10))


def test_the_order_of_rows_and_the_number_of_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(6)
    rows = [(int(u), float(t), int(i)) for u, t, i in rng.integers(0, [8, 12, 7], (90, 3))]
    expected = _found(rows, 7, PARAMS)
    monkeypatch.setattr("freshet.numeric.damped_gram._BLOCK_CELLS", 20)
    np.testing.assert_allclose(_found(rows[::-1], 7, PARAMS), expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("rows", [[], [(0, 1.0, 0)], [(0, 1.0, 0), (0, 2.0, 0)], [(0, 1.0, 0), (1, 1.0, 1)]])
def test_where_nothing_follows_nothing_there_are_no_weights(rows: list[Row]) -> None:
    items = 1 + max((item for _, _, item in rows), default=-1)
    assert not _found(rows, items, PARAMS).any()


def test_a_frame_gives_weights_by_id_and_leaves_out_rows_without_a_place(spark: SparkSession) -> None:
    rng = np.random.default_rng(7)
    rows = [(int(u), float(t), int(i)) for u, t, i in rng.integers(0, [6, 9, 5], (40, 3))]
    given_rows = [{"user_id": f"u{u}", "item_id": f"i{i}", "position": t} for u, t, i in rows]
    for odd in ({"position": float("nan")}, {"position": None}, {"user_id": None}, {"item_id": None}):
        given_rows.append({"user_id": "u0", "item_id": "odd", "position": 1.0, **odd})
    found = next_item_weights(local_frame(spark, ROWS, given_rows), PARAMS, threads=1, memory_gb=1.0).to_pylist()
    expected = _by_loops(rows, 5, PARAMS)
    assert [row["item_id"] for row in found] == [f"i{i}" for i in range(5)]
    for j, row in enumerate(found):
        by_id = {entry["item_id"]: entry["weight"] for entry in row["neighbours"]}
        assert by_id == {f"i{i}": pytest.approx(value, rel=1e-3) for i, value in enumerate(expected[:, j]) if value}


def test_what_does_not_fit_is_reported_before_it_is_tried(spark: SparkSession) -> None:
    frame = local_frame(spark, ROWS, [{"user_id": "u", "item_id": i, "position": float(n)} for n, i in enumerate("ab")])
    with pytest.raises(SetupError, match=r"item_models.memory_gb.*at most 0.001 GB; found 0.3 GB for 2 items"):
        next_item_weights(frame, PARAMS, threads=1, memory_gb=0.001)
    assert next_item_weights(frame.where("false"), PARAMS, threads=1, memory_gb=1.0).num_rows == 0


@pytest.mark.parametrize(
    "wrong", [{"decay": 0.0}, {"decay": 1.1}, {"steps": 0}, {"reg_param": 0.0}, {"co_occurrence": -1.0}, {"count": 0}]
)
def test_impossible_parameters_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        NextItemParameters(**{**PARAMS.__dict__, **wrong})
