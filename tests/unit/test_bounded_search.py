"""Lists by a search that ends early equal a full sort of all scores."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from freshet.recommendation.bounded_search import searched
from freshet.recommendation.search_order import SearchOrder, search_order
from tests.oracles_recommendation import best_columns

ITEMS, SHOPPERS = 700, 9


def _drawn(seed: int, rank: int, skew: float, terms: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Vectors of shoppers and items of small whole numbers, so that sums are exact and many scores tie."""
    rng = np.random.default_rng(seed)
    items = rng.integers(-3, 4, (ITEMS, rank + 1)) * np.maximum(1, rng.pareto(skew, (ITEMS, 1)).astype(np.int64))
    items[:, -1] = np.round(terms * items[:, -1])
    shoppers = rng.integers(-2, 3, (SHOPPERS, rank + 1)).astype(np.float32)
    shoppers[:, -1] = 1.0
    return shoppers, np.clip(items, -200, 200).astype(np.float32)


def _own(rng: np.random.Generator, share: float) -> NDArray[np.float32]:
    """What is added to scores: nothing mostly, else up to 40, or minus infinity."""
    added = rng.integers(-5, 41, (SHOPPERS, ITEMS)).astype(np.float32)
    added[rng.random(added.shape) < 0.4] = -np.inf
    added[rng.random(added.shape) >= share] = 0.0
    return added


def _searched(
    left: NDArray[np.float32], order: SearchOrder, added: NDArray[np.float32], *, length: int, width: int = 96,
    left_out: NDArray[np.bool_] | None = None, rows: NDArray[np.int64] | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:  # fmt: skip
    return searched(
        left, order, csr_matrix(added),
        left_out=np.zeros(ITEMS, dtype=bool) if left_out is None else left_out,
        rows=np.arange(len(left)) if rows is None else rows,
        width=width, length=length, room=np.empty(len(left) * width, dtype=np.float32),
    )  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    rank=st.integers(0, 5),
    skew=st.sampled_from([0.5, 1.0, 8.0]),
    terms=st.sampled_from([0.0, 1.0, 20.0]),
    share=st.sampled_from([0.0, 0.02, 0.5]),
    gone=st.sampled_from([0.0, 0.1, 0.99]),
    length=st.integers(1, 12),
    width=st.sampled_from([33, 96, 700]),
    scale=st.sampled_from([0.0, 1.0, 100.0]),
)
def test_found_are_the_best_of_a_full_sort(
    seed: int, rank: int, skew: float, terms: float, share: float, gone: float, length: int, width: int, scale: float
) -> None:
    left, items = _drawn(seed, rank, skew, terms)
    rng = np.random.default_rng(seed)
    added, absent = _own(rng, share), rng.random(ITEMS) < gone
    order = search_order(items, scale=scale)
    scores = left.astype(np.float64) @ items.T.astype(np.float64) + added
    scores[:, absent] = -np.inf
    columns, values = _searched(left, order, added, length=length, width=width, left_out=absent[order.columns])
    for n, row in enumerate(scores):
        expected = [(column, value) for column, value in best_columns(row.tolist(), length) if value > -np.inf]
        found = [(c, v) for c, v in zip(columns[n].tolist(), values[n].tolist(), strict=True) if v > -np.inf]
        assert found == expected


def test_a_search_ends_where_nothing_that_is_left_can_reach_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    items = np.full((ITEMS, 2), 0.001, dtype=np.float32)
    items[-20:, 0] = np.arange(1, 21)
    order, sizes = search_order(items, scale=1.0), list[int]()

    def product(left: NDArray[np.float32], right: NDArray[np.float32], out: NDArray[np.float32]) -> NDArray[np.float32]:
        sizes.append(len(left))
        return np.dot(left, right, out=out)

    monkeypatch.setattr("freshet.recommendation.bounded_search.np.matmul", product)
    columns, _ = _searched(np.ones((3, 2), dtype=np.float32), order, np.zeros((3, ITEMS), np.float32), length=5)
    assert columns.tolist() == [[ITEMS - 1 - n for n in range(5)]] * 3
    assert sizes == [96]


def test_only_the_shoppers_that_are_asked_for_are_searched_for() -> None:
    left, items = _drawn(3, 4, 1.0, 1.0)
    order, nothing = search_order(items, scale=1.0), np.zeros((SHOPPERS, ITEMS), np.float32)
    whole = _searched(left, order, nothing, length=6)
    rows = np.array([1, 4, 5])
    part = _searched(left, order, nothing, length=6, rows=rows)
    assert part[0][rows].tolist() == whole[0][rows].tolist()
    assert np.isinf(np.delete(part[1], rows, axis=0)).all()


def test_every_place_of_a_list_has_a_column_also_where_all_is_left_out() -> None:
    left, items = _drawn(5, 2, 1.0, 0.0)
    columns, values = _searched(
        left,
        search_order(items, scale=1.0),
        _own(np.random.default_rng(5), 0.3),
        length=7,
        left_out=np.ones(ITEMS, bool),
    )
    assert np.isneginf(values).all()
    assert ((columns >= 0) & (columns < ITEMS)).all()


@pytest.mark.parametrize("side", ["shopper", "item", "term", "own"])
def test_a_score_that_is_not_a_number_is_refused(side: str) -> None:
    left, items = _drawn(7, 3, 1.0, 1.0)
    added = np.zeros((SHOPPERS, ITEMS), np.float32)
    broken = {"shopper": left, "item": items, "term": items, "own": added}[side]
    broken[2, -1 if side == "term" else 1] = np.nan
    with pytest.raises(ValueError, match="not a number"):
        _searched(left, search_order(items, scale=1.0), added, length=3)
