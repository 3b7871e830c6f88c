"""Heads bound what they stand for, and clusters are learned where they are of use."""

from unittest.mock import patch

import numpy as np
import pytest
from numpy.typing import NDArray

from freshet.ranking.search import shopper_clusters
from freshet.ranking.search.heads import balance, heads, principal_axes, raised, squared
from freshet.ranking.search.shopper_clusters import FEWEST, clusters

ITEMS, SHOPPERS = 700, FEWEST


def _steep(seed: int, rows: int, rank: int) -> NDArray[np.float32]:
    """Vectors of very different lengths, whose later axes are shorter; the last number is any."""
    rng = np.random.default_rng(seed)
    made = rng.standard_normal((rows, rank + 1)) * np.exp(rng.normal(0, 2, (rows, 1))) / np.arange(1, rank + 2)
    return made.astype(np.float32)


@pytest.mark.parametrize("scale", [1e-25, 1.0, 1e15])
@pytest.mark.parametrize("terms", [1.0, 1e7])
@pytest.mark.parametrize("rank", [3, 16, 64])
def test_products_of_heads_are_never_below_those_of_whole_vectors(rank: int, terms: float, scale: float) -> None:
    items, left = _steep(3, ITEMS, rank), _steep(4, 50, rank)
    items[:50, 2:] = 0.0  # nothing is left out of these
    left[0], left[1, 1:] = 0.0, 0.0
    left[:, :-1] *= np.float32(scale)
    left[:, -1] = 1.0
    items[:, -1] *= np.float32(scale * terms)
    known = balance(items[:, :-1])
    assert known is not None
    balanced = left[:, :-1] @ known.shoppers
    scores = left.astype(np.float64) @ items.T.astype(np.float64)
    axes = principal_axes(balanced[left.any(axis=1)], rank // 2)
    along, items_along = balanced @ axes, items[:, :-1] @ (known.items @ axes)
    for number in (rank // 4, rank // 2):
        ours = heads(along, number, squared(balanced), 1.0)
        theirs = heads(items_along, number, known.squares, raised(items[:, -1]))
        assert ours.shape[1] == theirs.shape[1] == number + 3
        assert (ours @ theirs.T >= scores).all()


def test_a_head_is_followed_by_the_lengths_along_its_next_axes_and_along_none() -> None:
    vectors = np.array([[3, 4, 12, 84], [1, 0, 0, 0]], np.float32)
    made = heads(vectors[:, :3], 1, squared(vectors), np.array([7, 8], np.float32))
    np.testing.assert_allclose(made, [[3, 7, np.sqrt(160), 84], [1, 8, 0, 0]], rtol=1e-3, atol=0.011)
    assert (made[:, -1] > vectors[:, -1]).all()  # for rounding


def test_a_balance_is_made_of_all_items_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    items = _steep(5, ITEMS, 16)[:, :-1]
    whole = balance(items)
    monkeypatch.setattr("freshet.ranking.search.heads._ROWS", 3)
    parted = balance(items)
    assert whole is not None
    assert parted is not None
    assert len(parted.squares) == ITEMS
    np.testing.assert_allclose(parted.squares, whole.squares, rtol=1e-4)
    np.testing.assert_allclose(parted.shoppers, whole.shoppers, rtol=1e-3, atol=1e-4)


def test_balanced_vectors_have_the_products_that_they_had() -> None:
    items, left = _steep(5, ITEMS, 16)[:, :-1], _steep(6, 50, 16)[:, :-1]
    known = balance(items)
    assert known is not None
    np.testing.assert_allclose(known.shoppers @ known.items, np.eye(16), atol=1e-5)
    np.testing.assert_allclose(squared(items @ known.items), known.squares, rtol=1e-4)
    # Of axes whose length is not held to a tenth of the longest's, the fourth root of the Gram matrix is left.
    gram = items.astype(np.float64).T @ items
    eigenvalues = np.linalg.eigvalsh((items @ known.items).astype(np.float64).T @ (items @ known.items))
    wide = np.linalg.eigvalsh(gram)
    np.testing.assert_allclose(eigenvalues[wide > 1e-4 * wide[-1]], np.sqrt(wide[wide > 1e-4 * wide[-1]]), rtol=1e-3)
    found = (left @ known.shoppers).astype(np.float64) @ (items @ known.items).T
    np.testing.assert_allclose(found, left.astype(np.float64) @ items.T, rtol=1e-3, atol=1e-4)


def test_what_is_not_finite_or_nothing_is_not_balanced() -> None:
    assert balance(np.zeros((5, 3), np.float32)) is None
    assert balance(np.full((5, 3), np.inf, np.float32)) is None
    assert balance(np.empty((5, 0), np.float32)) is None


def test_axes_are_those_of_a_full_decomposition() -> None:
    vectors = _steep(7, 300, 24)[:, :-1]
    axes = principal_axes(vectors, 5)
    expected = np.linalg.svd(vectors.astype(np.float64), full_matrices=False)[2][:5]
    np.testing.assert_allclose(np.abs(np.einsum("aj,ja->a", expected, axes)), 1.0, atol=1e-3)
    np.testing.assert_allclose(axes.T @ axes, np.eye(5), atol=1e-5)


def _leaning(kinds: int, rank: int = 32) -> NDArray[np.float32]:
    """Shoppers of some kinds, one after the other, who lie near two axes each."""
    rng = np.random.default_rng(8)
    left = rng.normal(0, 0.05, (SHOPPERS, rank + 1))
    for kind in range(kinds):
        left[kind::kinds, 2 * kind : 2 * kind + 2] += rng.uniform(1, 2, (len(left[kind::kinds]), 2))
    left[:, -1] = 1.0
    return left.astype(np.float32)


def test_shoppers_who_are_alike_are_of_one_cluster_and_have_likely_items_of_their_own() -> None:
    rng = np.random.default_rng(9)
    left, items = _leaning(8), rng.standard_normal((ITEMS, 33)).astype(np.float32)
    known = balance(items[:, :-1])
    assert known is not None
    with patch.object(shopper_clusters, "_LIKELY", 10):
        found = clusters(left, items, known, length=5)
    assert found is not None
    assert len(found.centres) == 8
    whole = [set((rows % 8).tolist()) for rows, heads in found.kinds(left[:, :-1]) if heads in found.heads]
    assert sorted(whole, key=min) == [{kind} for kind in range(8)]
    for rows, likely in found.starts(left[:, :-1]):
        assert len(set((rows % 8).tolist())) == 1
        scores = (left[rows] @ items.T).mean(axis=0)
        assert likely.tolist() == sorted(likely.tolist())
        assert len(set(likely.tolist()) & set(np.argsort(-scores)[:10].tolist())) >= 8


def test_nobody_is_of_no_cluster() -> None:
    """A block in which nobody is searched, such as a micro-batch of shoppers who are not known."""
    rng = np.random.default_rng(9)
    left, items = _leaning(8), rng.standard_normal((ITEMS, 33)).astype(np.float32)
    known = balance(items[:, :-1])
    assert known is not None
    found = clusters(left, items, known, length=5)
    assert found is not None
    nobody = left[:0, :-1]
    assert [rows.tolist() for rows, _ in found.starts(nobody)] == []
    assert {len(rows) for rows, _ in found.kinds(nobody)} <= {0}


def test_of_fewer_directions_than_clusters_each_has_one() -> None:
    rng = np.random.default_rng(9)
    left, items = np.zeros((SHOPPERS, 33), np.float32), rng.standard_normal((ITEMS, 33)).astype(np.float32)
    left[::2, 0], left[1::2, 1], left[:, -1] = 1.0, 2.0, 1.0
    items[:, 2:-1] *= np.float32(0.1)
    known = balance(items[:, :-1])
    assert known is not None
    found = clusters(left, items, known, length=5)
    assert found is not None
    assert found.centres.shape == found.small_centres.shape == (2, 32)
    assert [sorted(set((rows % 2).tolist())) for rows, _ in found.starts(left[:, :-1])] in ([[0], [1]], [[1], [0]])


@pytest.mark.parametrize("why", ["few", "all directions alike", "many items", "no vectors", "short vectors"])
def test_there_are_no_clusters_where_they_are_of_no_use(why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(9)
    rank = 8 if why == "short vectors" else 32
    left, items = _leaning(2, rank), rng.standard_normal((ITEMS, rank + 1)).astype(np.float32)
    known = balance(items[:, :-1])
    assert known is not None
    if why == "few":
        left = left[:-1]
    if why == "all directions alike":
        left[:, :-1] = rng.standard_normal((SHOPPERS, rank))
    if why == "many items":
        monkeypatch.setattr(shopper_clusters, "_MOST_NUMBERS", 2 * ITEMS * 33)
    if why == "no vectors":
        left[1:, :-1] = 0.0
    assert clusters(left, items, known, length=5) is None
    if why == "many items":
        monkeypatch.setattr(shopper_clusters, "_MOST_NUMBERS", 3 * ITEMS * 33)
        found = clusters(left, items, known, length=5)
        assert found is not None
        assert len(found.centres) == 1
