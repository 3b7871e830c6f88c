"""The native trainer against plain alternating least squares, and on degenerate input."""

import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse import random as random_sparse

from freshet.models.factors.factorisation import Factors, factorised, training_bytes
from freshet.models.factors.parameters import AlsParameters
from freshet.models.factors.training_rows import RowReader, TrainingRows
from tests.oracles_recommendation import folded_in_one

START = datetime(2020, 1, 1, tzinfo=UTC)


def _params(
    rank: int = 4, *, rounds: int = 3, reg: float = 0.1, alpha: float = 4.0, power: float = 1.0
) -> AlsParameters:
    return AlsParameters(rank, rounds, reg, alpha, 11, power)


def _strengths(users: int = 40, items: int = 30, seed: int = 2) -> csr_matrix:
    rng = np.random.default_rng(seed)
    return csr_matrix((rng.random((users, items)) * 2 * (rng.random((users, items)) < 0.2)).astype(np.float32))


def _trained(strengths: csr_matrix, params: AlsParameters, *, cg_steps: int = 3, threads: int = 2) -> Factors:
    return factorised(strengths, params, cg_steps=cg_steps, threads=threads)


def _solved(rows: csr_matrix, vectors: NDArray[np.float64], params: AlsParameters) -> NDArray[np.float64]:
    """All rows by the plain equation. The oracle's ridge is linear in the count: the power goes into its factor."""
    solutions = []
    for row in rows:
        own = dict(zip(row.indices.tolist(), row.data.tolist(), strict=True))
        ridge = params.reg_param * max(1, len(own)) ** (params.reg_power - 1.0)
        solutions.append(folded_in_one(own, vectors, alpha=params.alpha, reg=ridge))
    return np.array(solutions)


@pytest.mark.parametrize(("power", "start"), [(0.0, 1.0), (0.5, 1.0), (1.0, 1.0), (1.0, 0.1)])
def test_scores_equal_those_of_exact_alternating_least_squares_from_the_same_start(power: float, start: float) -> None:
    strengths, params = _strengths(), replace(_params(power=power), start=start)
    drawn = np.random.default_rng(params.seed).standard_normal((40, 4), dtype=np.float32)
    X: NDArray[np.float64] = start * drawn / np.sqrt(4)
    for _ in range(params.max_iter):
        Y = _solved(strengths.T.tocsr(), X.astype(np.float64), params)
        X = _solved(strengths, Y, params)
    found = _trained(strengths, params, cg_steps=50)
    np.testing.assert_allclose(found.users @ found.items.T, X @ Y.T, atol=5e-3)


@pytest.mark.parametrize("power", [0.0, 1.0])
def test_shoppers_solve_their_equation_against_the_final_items(power: float) -> None:
    strengths, params = _strengths(), _params(rank=6, power=power)
    found = _trained(strengths, params, cg_steps=1)
    expected = _solved(strengths, found.items.astype(np.float64), params)
    assert np.linalg.norm(found.users - expected) <= 1e-4 * np.linalg.norm(expected)


def test_the_gram_matrix_of_items_is_diagonal_and_rises() -> None:
    items = _trained(_strengths(), _params()).items.astype(np.float64)
    gram = items.T @ items
    np.testing.assert_allclose(gram, np.diag(np.sort(np.diag(gram))), atol=1e-5 * gram.max())


def test_threads_change_no_bit_and_seeds_do() -> None:
    strengths = _strengths(300, 200)
    one, four = (_trained(strengths, _params(16), threads=threads) for threads in (1, 4))
    np.testing.assert_array_equal(one.users, four.users)
    np.testing.assert_array_equal(one.items, four.items)
    other = _trained(strengths, AlsParameters(16, 3, 0.1, 4.0, 12))
    assert not np.array_equal(one.items, other.items)


def test_one_shopper_with_one_item_is_scored_near_one() -> None:
    found = _trained(csr_matrix(np.array([[2.0]], dtype=np.float32)), _params(2, rounds=20, reg=0.01))
    assert float((found.users @ found.items.T)[0, 0]) == pytest.approx(1.0, abs=0.1)


def test_one_shopper_with_all_items_likes_them_alike() -> None:
    found = _trained(csr_matrix(np.ones((1, 5), dtype=np.float32)), _params(2, rounds=10))
    np.testing.assert_allclose(found.users @ found.items.T, np.full((1, 5), 1.0), atol=0.2)


def test_one_item_of_all_shoppers_is_liked_by_each() -> None:
    found = _trained(csr_matrix(np.ones((5, 1), dtype=np.float32)), _params(2, rounds=10))
    np.testing.assert_allclose(found.users @ found.items.T, np.full((5, 1), 1.0), atol=0.2)


def test_equal_counts_everywhere_still_part_two_tastes() -> None:
    blocks = np.kron(np.eye(2), np.ones((6, 6))).astype(np.float32)
    np.fill_diagonal(blocks, 0)
    found = _trained(csr_matrix(blocks), _params(2, rounds=10))
    scores = found.users @ found.items.T
    assert scores[:6, :6].min() > scores[:6, 6:].max() + 0.3
    assert scores[6:, 6:].min() > scores[6:, :6].max() + 0.3


def test_a_rank_above_the_number_of_items_is_fitted() -> None:
    found = _trained(_strengths(12, 3), _params(20))
    assert found.items.shape == (3, 20)
    assert np.isfinite(found.items).all()
    assert np.isfinite(found.users).all()


def test_rows_and_columns_without_observations_get_zero_vectors() -> None:
    strengths = csr_matrix(np.array([[1.0, 0.0, 2.0], [0.0, 0.0, 0.0]], dtype=np.float32))
    found = _trained(strengths, _params(2))
    assert not found.users[1].any()
    assert not found.items[1].any()
    assert found.users[0].any()


def _batches(rows: list[tuple[str, str, int, float]], size: int) -> Iterator[pa.RecordBatch]:
    schema = pa.schema(
        [("user_id", pa.string()), ("item_id", pa.string()), ("first_time", pa.timestamp("us", tz="UTC")),
         ("strength", pa.float32())]
    )  # fmt: skip
    for start in range(0, len(rows), size):
        part = rows[start : start + size]
        columns = [[user for user, _, _, _ in part], [item for _, item, _, _ in part],
                   [START + timedelta(days=day) for _, _, day, _ in part], [value for *_, value in part]]  # fmt: skip
        yield pa.RecordBatch.from_arrays(
            [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema
        )


def _read(rows: list[tuple[str, str, int, float]], size: int) -> TrainingRows:
    reader = RowReader()
    for _ in reader.read(_batches(rows, size)):
        pass
    return reader.rows()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("group", [1, 7, 1000])
def test_rows_are_numbered_by_first_appearance_whatever_order_and_size_they_come_in(
    seed: int, group: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("freshet.models.factors.training_rows._GROUP_ROWS", group)
    rng = np.random.default_rng(seed)
    pairs = {(f"u{rng.integers(12)}", f"i{rng.integers(9)}") for _ in range(60)}
    rows = [(user, item, int(rng.integers(5)), float(rng.integers(1, 9))) for user, item in sorted(pairs)]
    found = _read([rows[n] for n in rng.permutation(len(rows))], 5)
    for place, ids in ((0, found.users), (1, found.items)):
        first = {row[place]: min(other[2] for other in rows if other[place] == row[place]) for row in rows}
        assert ids.to_pylist() == sorted(first, key=lambda name: (first[name], name))
    users, items, dense = found.users.to_pylist(), found.items.to_pylist(), found.strengths.toarray()
    assert found.strengths.nnz == len(rows)
    assert found.strengths.has_sorted_indices
    assert all(dense[users.index(user), items.index(item)] == value for user, item, _, value in rows)


def test_a_training_takes_no_more_memory_than_estimated() -> None:
    strengths = random_sparse(20_000, 5_000, density=0.005, format="csr", dtype=np.float32, random_state=1)
    _trained(strengths[:50], _params(16))  # compiled outside of the measurement
    tracemalloc.start()
    _trained(strengths, _params(16, rounds=2))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak <= training_bytes(pairs=strengths.nnz, rows=25_000, rank=16, threads=2)
