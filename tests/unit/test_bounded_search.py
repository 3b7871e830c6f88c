"""Lists by a search that ends early equal a full sort of all scores."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from freshet.ranking.search import bounded_search, shopper_clusters
from freshet.ranking.search import order as orders
from freshet.ranking.search.bounded_search import searched
from freshet.ranking.search.order import SearchOrder, search_order
from tests.oracles_recommendation import best_columns

ITEMS, SHOPPERS = 700, 24


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
        width=width, length=length, buffer=np.empty(len(left) * width, dtype=np.float32),
    )  # fmt: skip


@contextmanager
def _few_are_many(together: int = 1024, *, is_heads_only: bool = False) -> Iterator[None]:
    """Clusters are learned from few shoppers already: two, and four small ones with 20 likely items. With
    `is_heads_only` heads of 8 numbers are of use for everybody."""
    with ExitStack() as patched:
        for module, name, value in (
            (orders, "FEWEST", 4), (shopper_clusters, "FEWEST", 4), (shopper_clusters, "_CLUSTERS", 2),
            (shopper_clusters, "_SMALL_CLUSTERS", 4), (shopper_clusters, "_LIKELY", 20),
            (bounded_search, "TOGETHER", together), (bounded_search, "_SAMPLED", 50),
        ):  # fmt: skip
            patched.enter_context(patch.object(module, name, value))
        if is_heads_only:
            for module in (bounded_search, shopper_clusters):
                patched.enter_context(patch.object(module, "search_costs", lambda _n, _w, reached: 0.0 * reached))
        yield


@settings(max_examples=200, deadline=None)
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
    clusters=st.sampled_from(["none", "by cost", "always"]),
    together=st.sampled_from([1, 5, 1024]),
)
def test_found_are_the_best_of_a_full_sort(
    seed: int, rank: int, steep: int, skew: float, terms: float, share: float, gone: float, length: int, width: int,
    scale: float, clusters: str, together: int,
) -> None:  # fmt: skip
    left, items = _drawn(seed, rank, skew, terms, steep)
    rng = np.random.default_rng(seed)
    added, absent = _own(rng, share), rng.random(ITEMS) < gone
    order = search_order(items, scale=scale)
    scores = left.astype(np.float64) @ items.T.astype(np.float64) + added
    scores[:, absent] = -np.inf
    few = nullcontext() if clusters == "none" else _few_are_many(together, is_heads_only=clusters == "always")
    with few:
        columns, values = _searched(left, order, added, length=length, width=width, left_out=absent[order.columns])
    for n, row in enumerate(scores):
        expected = [(column, value) for column, value in best_columns(row.tolist(), length) if value > -np.inf]
        found = [(c, v) for c, v in zip(columns[n].tolist(), values[n].tolist(), strict=True) if v > -np.inf]
        assert found == expected


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """(numbers of a vector, shoppers) of each product."""
    seen = list[tuple[int, int]]()
    bounds = bounded_search._Searching.bounds

    def watched(searching: bounded_search._Searching, part: slice) -> NDArray[np.float32]:
        seen.append((searching._right.shape[1], len(searching.rows)))
        return bounds(searching, part)

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


def _leaning(rng: np.random.Generator, rank: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Shoppers of two kinds, who lie near four axes each, and the last four, whose directions are any."""
    left = rng.normal(0, 0.05, (SHOPPERS, rank + 1))
    left[: SHOPPERS // 2, :4] += rng.uniform(1, 2, (SHOPPERS // 2, 4))
    left[SHOPPERS // 2 :, 4:8] += rng.uniform(1, 2, (SHOPPERS - SHOPPERS // 2, 4))
    left[-4:] = rng.normal(0, 1, (4, rank + 1))
    left[:, -1] = 1.0
    items = rng.normal(0, 1, (ITEMS, rank + 1))
    items[:, -1] = 0.0
    return left.astype(np.float32), items.astype(np.float32)


def test_shoppers_are_searched_for_by_the_kind_of_vectors_that_costs_least(sizes: list[tuple[int, int]]) -> None:
    left, items = _leaning(np.random.default_rng(1), 40)
    order = search_order(items, scale=1.0)
    nothing = np.zeros((SHOPPERS, ITEMS), np.float32)
    with _few_are_many():
        _searched(left, order, nothing, length=3)
    starts, after = sizes[:4], sizes[4:]
    assert {numbers for numbers, _ in starts} == {41}
    assert sum(shoppers for _, shoppers in starts) == SHOPPERS
    by_whole = [shoppers for numbers, shoppers in after if numbers == 41]
    assert 1 <= max(by_whole) <= 4
    assert max(shoppers for numbers, shoppers in after if numbers < 41) >= 8


def test_lists_that_likely_items_have_not_filled_go_on_by_whole_vectors(sizes: list[tuple[int, int]]) -> None:
    left, items = _leaning(np.random.default_rng(1), 40)
    order = search_order(items, scale=1.0)
    with _few_are_many(is_heads_only=True):
        known = order.clusters(left, 2)
        assert known is not None
        gone = np.zeros(ITEMS, dtype=bool)
        gone[np.concatenate(known.likely)] = True
        _searched(left, order, np.zeros((SHOPPERS, ITEMS), np.float32), length=2, left_out=gone)
    assert {numbers for numbers, _ in sizes} == {41}


def test_clusters_are_learned_once_from_many_shoppers_and_are_of_use_for_few(sizes: list[tuple[int, int]]) -> None:
    left, items = _leaning(np.random.default_rng(1), 40)
    order, nothing = search_order(items, scale=1.0), np.zeros((SHOPPERS, ITEMS), np.float32)
    with _few_are_many():
        assert order.clusters(left[:3], 3) is None
        first = order.clusters(left, 3)
        assert first is not None
        assert order.clusters(left[:3], 3) is first
        assert order.clusters(-left, 3) is first
        assert order._learned == [first]
        _searched(left[:2], order, nothing[:2], length=3)
    assert min(numbers for numbers, _ in sizes) < 41


def test_bounds_are_in_the_order_of_the_remaining_shoppers() -> None:
    left, items = _drawn(3, 4, 1.0, 1.0)
    rows, buffer = np.arange(len(left))[::-1], np.empty(len(left) * 96, dtype=np.float32)
    searching = bounded_search._Searching(rows, left[rows], items, rows.astype(np.float32), buffer)
    searching.keep(rows % 3 == 1)
    assert searching.rows.tolist() == searching.slack.tolist() == [22, 19, 16, 13, 10, 7, 4, 1]
    assert searching.bounds(slice(96, 192)).tolist() == (items[96:192] @ left[searching.rows].T).tolist()


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
@pytest.mark.parametrize("is_many", [False, True])
def test_a_score_that_is_not_a_number_is_refused(side: str, is_many: bool) -> None:
    left, items = _drawn(7, 3, 1.0, 1.0)
    added = np.zeros((SHOPPERS, ITEMS), np.float32)
    broken = {"shopper": left, "item": items, "term": items, "own": added}[side]
    broken[2, -1 if side == "term" else 1] = np.nan
    with pytest.raises(ValueError, match="not a number"), _few_are_many() if is_many else nullcontext():
        _searched(left, search_order(items, scale=1.0), added, length=3)
