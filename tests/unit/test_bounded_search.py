"""Lists by a search that ends early equal a full sort of all scores."""

from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from freshet.recommendation import bounded_search
from freshet.recommendation.bounded_search import searched
from freshet.recommendation.search_order import SearchOrder, search_order
from tests.oracles_recommendation import best_columns

ITEMS, SHOPPERS = 700, 9


def _drawn(
    seed: int, rank: int, skew: float, terms: float, steep: int = 1
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Vectors of shoppers and items of small whole numbers, so that sums are exact and many scores tie; the first four
    axes are `steep` times as long as the others."""
    rng = np.random.default_rng(seed)
    items = rng.integers(-3, 4, (ITEMS, rank + 1)) * np.maximum(1, rng.pareto(skew, (ITEMS, 1)).astype(np.int64))
    items[:, : min(4, rank)] *= steep
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


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    rank=st.sampled_from([0, 1, 2, 5, 16, 40]),
    steep=st.sampled_from([1, 4, 20]),
    skew=st.sampled_from([0.5, 1.0, 8.0]),
    terms=st.sampled_from([0.0, 1.0, 20.0]),
    share=st.sampled_from([0.0, 0.02, 0.5]),
    gone=st.sampled_from([0.0, 0.1, 0.99]),
    length=st.integers(1, 12),
    width=st.sampled_from([33, 96, 700]),
    scale=st.sampled_from([0.0, 1.0, 100.0]),
    many=st.sampled_from([0.0, 0.1, 2.0]),
)
def test_found_are_the_best_of_a_full_sort(
    seed: int, rank: int, steep: int, skew: float, terms: float, share: float, gone: float, length: int, width: int,
    scale: float, many: float,
) -> None:  # fmt: skip
    left, items = _drawn(seed, rank, skew, terms, steep)
    rng = np.random.default_rng(seed)
    added, absent = _own(rng, share), rng.random(ITEMS) < gone
    order = search_order(items, scale=scale)
    scores = left.astype(np.float64) @ items.T.astype(np.float64) + added
    scores[:, absent] = -np.inf
    with patch.object(bounded_search, "_MANY", many):
        columns, values = _searched(left, order, added, length=length, width=width, left_out=absent[order.columns])
    for n, row in enumerate(scores):
        expected = [(column, value) for column, value in best_columns(row.tolist(), length) if value > -np.inf]
        found = [(c, v) for c, v in zip(columns[n].tolist(), values[n].tolist(), strict=True) if v > -np.inf]
        assert found == expected


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """(numbers of a vector, shoppers) of each product, but for those of nobody."""
    seen = list[tuple[int, int]]()
    bounds = bounded_search._Searching.bounds

    def watched(group: bounded_search._Searching, first: int, width: int) -> NDArray[np.float32]:
        if len(group.rows):
            seen.append((group._right.shape[1], len(group.rows)))
        return bounds(group, first, width)

    monkeypatch.setattr(bounded_search._Searching, "bounds", watched)
    return seen


def test_a_score_that_becomes_no_number_on_the_way_is_refused() -> None:
    left, items = _drawn(7, 3, 1.0, 1.0)
    left[2, 0], items[:, 0] = np.inf, 1.0
    items[5, 0] = 0.0  # the bound of the whole order is infinite, and infinity times this is no number
    with np.errstate(invalid="ignore"), pytest.raises(ValueError, match="not a number"):
        _searched(left, search_order(items, scale=1.0), np.zeros((SHOPPERS, ITEMS), np.float32), length=3)


def test_a_search_ends_where_nothing_that_is_left_can_reach_the_list(sizes: list[tuple[int, int]]) -> None:
    items = np.full((ITEMS, 2), 0.001, dtype=np.float32)
    items[-20:, 0] = np.arange(1, 21)
    order = search_order(items, scale=1.0)
    columns, _ = _searched(np.ones((3, 2), dtype=np.float32), order, np.zeros((3, ITEMS), np.float32), length=5)
    assert columns.tolist() == [[ITEMS - 1 - n for n in range(5)]] * 3
    assert sizes == [(2, 3)]


def test_heads_are_searched_by_after_the_first_items(sizes: list[tuple[int, int]]) -> None:
    left, items = _drawn(11, 40, 8.0, 0.0, steep=20)
    order = search_order(items, scale=1.0)
    assert [heads.axes.shape for heads in order.heads] == [(40, 8)]
    left[:, 4:-1] = 0.0  # of what heads leave out these shoppers have hardly anything
    _searched(left, order, np.zeros((SHOPPERS, ITEMS), np.float32), length=5)
    assert sizes[0] == (41, SHOPPERS)
    assert {numbers for numbers, _ in sizes[1:]} == {10}


def test_shoppers_whose_lists_too_many_items_reach_go_on_by_longer_vectors(
    sizes: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded_search, "_MANY", 0.0)
    left, items = _drawn(11, 40, 8.0, 0.0, steep=20)
    order = search_order(items, scale=1.0)
    _searched(left, order, np.zeros((SHOPPERS, ITEMS), np.float32), length=5)
    assert [numbers for numbers, _ in sizes[:2]] == [41, 10]
    assert 41 in {numbers for numbers, _ in sizes[2:]}


def test_lists_that_the_first_items_have_not_filled_go_on_by_whole_vectors(sizes: list[tuple[int, int]]) -> None:
    left, items = _drawn(11, 40, 8.0, 0.0, steep=20)
    order, gone = search_order(items, scale=1.0), np.arange(ITEMS) < 95
    _searched(left, order, np.zeros((SHOPPERS, ITEMS), np.float32), length=2, left_out=gone)
    assert {numbers for numbers, _ in sizes} == {41}


def test_bounds_stand_in_the_order_of_the_shoppers_that_are_taken() -> None:
    left, items = _drawn(3, 4, 1.0, 1.0)
    room = np.empty(len(left) * 96, dtype=np.float32)
    group = bounded_search._Searching(left, items, np.arange(len(left), dtype=np.float32), room)
    for rows in (np.arange(len(left)), np.arange(len(left))[::-1], np.array([4, 1])):
        group.take(rows)
        assert group.bounds(96, 96).tolist() == (items[96:192] @ left[rows].T).tolist()
        assert group.slack.tolist() == rows.tolist()


def test_vectors_that_are_alike_along_all_axes_have_no_heads() -> None:
    vectors = np.random.default_rng(2).standard_normal((5_000, 33), dtype=np.float32)
    assert search_order(vectors, scale=1.0).heads == ()


@pytest.mark.parametrize("rank", [16, 64])
def test_products_of_heads_are_never_below_those_of_whole_vectors(rank: int) -> None:
    rng = np.random.default_rng(3)
    lengths = np.exp(rng.normal(0, 3, (ITEMS, 1)))
    items = (rng.standard_normal((ITEMS, rank + 1)) * lengths / np.arange(1, rank + 2) ** 2).astype(np.float32)
    items[:50, 8:] = 0.0  # nothing is left out of these
    items[:, -1] = rng.normal(0, 100, ITEMS)
    left = rng.standard_normal((SHOPPERS, rank + 1)).astype(np.float32)
    left[0], left[1, 1:] = 0.0, 0.0
    left[:, -1] = 1.0
    order = search_order(items, scale=1.0)
    assert order.heads
    scores = order.vectors @ left.T
    for heads in order.heads:
        assert (heads.items @ heads.of(left).T >= scores).all()


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
