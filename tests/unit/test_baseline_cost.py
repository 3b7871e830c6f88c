"""The plain baselines follow the pairs that there are: equal to dense matrices, and without shoppers no work at all."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from freshet.evaluation import kernels
from freshet.evaluation.baselines import FAMILIES, NEW_ITEMS, Baseline, list_batches
from freshet.evaluation.kernels import Nearness
from freshet.evaluation.strength_matrix import StrengthMatrices

NEAR_ITEMS, NEAR_USERS = Nearness(5, 1.5, 1.3), Nearness(7, 0.0, 1.0)


def _matrices(dense: NDArray[np.float64], recent: NDArray[np.float64], wanted: list[int]) -> StrengthMatrices:
    users, items = (
        pa.array([f"{letter}{n:04}" for n in range(size)]) for letter, size in zip("ui", dense.shape, strict=True)
    )
    return StrengthMatrices(
        users, items, csr_matrix((dense > 0).astype(float)), {"all": csr_matrix(dense), "recent": csr_matrix(recent)},
        np.array(wanted, dtype=np.int64), np.ones(len(users), dtype=np.bool_),
    )  # fmt: skip


def _lists(matrices: StrengthMatrices, k: int) -> dict[tuple[str, str, str], list[tuple[int, float]]]:
    """Columns and scores by task, family and shopper."""
    made = list_batches(
        matrices, [Baseline(family, "all") for family in FAMILIES], k=k, near_items=NEAR_ITEMS, near_users=NEAR_USERS,
        fill="recent",
    )  # fmt: skip
    return {
        (row["task"], row["model"].removesuffix("/all"), row["user_id"]):
            [(int(entry["item_id"][1:]), entry["score"]) for entry in row["items"]]
        for batch in made
        for row in batch.to_pylist()
    }  # fmt: skip


@pytest.mark.unit
def test_without_shoppers_to_judge_no_neighbours_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    def made(*given: Any, **named: Any) -> Any:
        raise AssertionError("neighbours are made for nobody")

    monkeypatch.setattr(kernels, "nearest", made)
    dense = np.eye(4)
    assert _lists(_matrices(dense, dense, []), 3) == {}


def _dense_similarity(vectors: NDArray[np.float64], kind: str, near: Nearness) -> NDArray[np.float64]:
    """[rows, rows], all pairs; what is not a neighbour is 0, the row itself is kept."""
    centred = vectors - vectors.mean(axis=1, keepdims=True) if kind == "pearson" else vectors
    length = np.sqrt((centred**2).sum(axis=1))
    scale = np.outer(length ** (2 - near.asymmetry), length**near.asymmetry)
    with np.errstate(invalid="ignore", divide="ignore"):
        close = np.where(scale > 1e-9, centred @ centred.T / (scale + near.shrinkage), 0.0)
    close = np.maximum(close, 0.0).astype(np.float32).astype(np.float64)
    nearest = np.zeros_like(close)
    for row in range(len(close)):
        others = sorted((n for n in range(len(close)) if n != row), key=lambda n: (-close[row, n], n))
        for n in [row, *others[: near.count]]:
            nearest[row, n] = close[row, n]
    return nearest


def _dense_scores(dense: NDArray[np.float64], family: str) -> NDArray[np.float64]:
    """[shoppers, items] by whole matrices."""
    kind = family.rsplit("_", maxsplit=1)[-1]
    if family == "popularity":
        return np.tile((dense > 0).sum(axis=0).astype(float), (len(dense), 1))
    if family == "frequency":
        return dense
    if family.startswith("item"):
        return dense @ _dense_similarity(dense.T, kind, NEAR_ITEMS).T
    return _dense_similarity(dense, kind, NEAR_USERS) @ dense


def _long_tail(seed: int) -> NDArray[np.float64]:
    """90 shoppers and 300 items of whole strengths 1 to 3; most items have a shopper or two, many none."""
    chance = np.random.default_rng(seed)
    return chance.integers(1, 4, (90, 300)) * (chance.random((90, 300)) < 0.5 / (1 + np.arange(300) / 6))


@pytest.mark.unit
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_lists_of_a_long_tail_equal_those_of_dense_matrices(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # Blocks of a few rows each, as for large shops.
    monkeypatch.setattr(kernels, "_BLOCK_VALUES", 500)
    dense = _long_tail(seed).astype(float)
    recent = dense * (np.random.default_rng(seed + 50).random(dense.shape) < 0.4)
    dense[7] = recent[7] = 0.0  # a shopper of whom nothing is known
    wanted, k = [0, 7, 8, 30, 89], 25
    found = _lists(_matrices(dense, recent, wanted), k)
    assert len(found) == 2 * len(FAMILIES) * len(wanted)
    popularity = (recent > 0).sum(axis=0)
    bonus = 1e-9 * popularity / popularity.max()
    filled = 0
    for (task, family, user), entries in found.items():
        row = int(user[1:])
        scores = _dense_scores(dense, family)[row].astype(np.float32).astype(np.float64) + bonus
        allowed = np.flatnonzero((dense[row] == 0) if task == NEW_ITEMS else np.ones(300, dtype=bool))
        expected = sorted(allowed, key=lambda n: (-scores[n], n))[:k]
        assert [score for _, score in entries] == pytest.approx(list(scores[expected]), rel=1e-6, abs=1e-12)
        # Which of two is first is exact where sums are; dense and sparse ones differ in their last digit.
        _assert_same_order([item for item, _ in entries], expected, scores)
        filled += sum(score <= 1e-9 for _, score in entries)
    assert filled > 100


def _assert_same_order(found: list[int], expected: list[int], scores: NDArray[np.float64]) -> None:
    for one, other in zip(found, expected, strict=True):
        assert one == other or 0 < abs(scores[one] - scores[other]) < 1e-6 * scores[one]
