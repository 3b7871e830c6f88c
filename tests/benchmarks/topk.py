"""Exact top-20 of all users of Gowalla, tiled: against the matrix product alone, and against MLlib as Spark jobs."""

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from freshet.models.factors.factorisation import Factors, factorised
from freshet.ranking.best_items import best_items, cut
from freshet.ranking.histories.history_block import HistoryBlock
from freshet.ranking.scoring import NOTHING, ScoredBlock
from tests.benchmarks.foldin import GOWALLA_PARAMS
from tests.benchmarks.tables.gowalla_data import ITEMS, gowalla_data
from tests.benchmarks.tasks import cores, side_by_side
from tests.benchmarks.topk_jobs import POLICY, factors_alone, whole_jobs

SHOPPERS, RANKS, K = 300_000, (64, 256), 20
SEEN = 27
"""Items that a drawn shopper has had, as many as one of Gowalla's."""

MANY_ITEMS, THEIR_RANK, THEIR_LISTS = 1_000_000, 50, 2_000
QUICK_SHOPPERS, QUICK_RANKS, QUICK_PAIRS = 4_000, (64,), 3
_SIDES = ("shoppers", "items")

Sides: TypeAlias = tuple[NDArray[np.float32], NDArray[np.float32], csr_matrix]
"""Vectors of shoppers and of items, and minus infinity at what each shopper has had."""

Vectors: TypeAlias = Callable[..., Sides]

_FEW = 8192
"""Shoppers by whom the quickest cut of a product is found."""

_GEMM_BLOCKS = ((585, ITEMS), (1024, ITEMS), (512, 2048))
"""Shoppers and items of a product; the quickest of them is what our lists are measured against."""


def topk(quick: bool, pairs: int = 5, shoppers: int | None = None) -> dict[str, Any]:
    """ratio_to_gemm_rank*: median over pairs of (product by blocks, masking, selection) / (product alone).

    Vectors are those of a training on Gowalla, its users again and again; ratio_to_gemm_drawn_rank*: of vectors drawn
    from a normal distribution, which are all about as long, so that no search ends early. In as many tasks as cores.
    The product alone takes the quickest of three ways to cut it into blocks.
    mllib_over_ours_rank*: recommendForAllUsers to a Delta table over our lists to one, as whole Spark jobs from vectors
    (MLlib) and from histories (ours: read, folded in, masked, explained); not with --quick.
    lists_per_s_1m_items: of 1,000,000 items of rank 50, drawn.
    """
    users, ranks = (QUICK_SHOPPERS, QUICK_RANKS) if quick else (shoppers or SHOPPERS, RANKS)
    found: dict[str, Any] = {"users": users, "items": ITEMS, "pairs": QUICK_PAIRS if quick else pairs}
    for rank in ranks:
        with tempfile.TemporaryDirectory(prefix="freshet-topk-") as folder:
            trained = trained_vectors(rank)
            for name, values in zip(_SIDES, trained, strict=True):
                np.save(Path(folder) / name, values)
            found |= _against_gemm(f"rank{rank}", _trained, (folder,), users, found["pairs"])
            found |= _against_gemm(f"drawn_rank{rank}", _drawn, (rank,), users, found["pairs"])
            if not quick:
                found |= whole_jobs(trained, users, pairs)
    # The bar is one number: that of the rank at which it is higher.
    found["ratio_to_gemm"] = max(found[f"ratio_to_gemm_rank{rank}"] for rank in ranks)
    if not quick:
        found["lists_per_s_1m_items"] = _lists_per_second()
        found["mllib_over_ours"] = min(found[f"mllib_over_ours_rank{rank}"] for rank in ranks)
    return found


def trained_vectors(rank: int) -> Factors:
    """Of a training on Gowalla's published training pairs."""
    return factorised(gowalla_data().published_train, replace(GOWALLA_PARAMS, rank=rank), cg_steps=3, threads=cores())


def _against_gemm(name: str, vectors: Vectors, given: tuple[Any, ...], users: int, pairs: int) -> dict[str, Any]:
    tasks = cores()
    arguments = [(vectors, given, n, users // tasks, pairs) for n in range(tasks)]
    seconds = np.array(side_by_side(_pairs, arguments)).sum(axis=0)
    ratios = seconds[:, 1] / seconds[:, 0]
    return {
        f"ratio_to_gemm_{name}": round(float(np.median(ratios)), 3),
        f"ratio_to_gemm_{name}_lowest": round(float(ratios.min()), 3),
        f"ratio_to_gemm_{name}_highest": round(float(ratios.max()), 3),
        f"gemm_seconds_{name}": round(float(np.median(seconds[:, 0])) / tasks, 3),
        f"topk_seconds_{name}": round(float(np.median(seconds[:, 1])) / tasks, 3),
    }


def _pairs(vectors: Vectors, given: tuple[Any, ...], task: int, users: int, pairs: int) -> list[tuple[float, float]]:
    """(seconds of the product, seconds of product, masking and selection), one after the other, `pairs` times."""
    shoppers, items, seen = vectors(*given, task, users)
    few = shoppers[:_FEW]
    _list_seconds(few, items, seen)
    times = {block: min(_product_seconds(few, items, *block) for _ in range(2)) for block in _GEMM_BLOCKS}
    block = min(times, key=lambda one: times[one])
    return [(_product_seconds(shoppers, items, *block), _list_seconds(shoppers, items, seen)) for _ in range(pairs)]


def _trained(folder: str, task: int, users: int) -> Sides:
    shoppers, items = (np.load(Path(folder) / f"{name}.npy") for name in _SIDES)
    mine = np.arange(task * users, (task + 1) * users) % len(shoppers)
    seen = gowalla_data().published_train[mine]
    seen.data[:] = -np.inf
    return shoppers[mine], items, seen


def _drawn(rank: int, task: int, users: int) -> Sides:
    rng = np.random.default_rng(task)
    shoppers = rng.standard_normal((users, rank), dtype=np.float32)
    return shoppers, rng.standard_normal((ITEMS, rank), dtype=np.float32), _seen(rng, users, ITEMS)


def _seen(rng: np.random.Generator, users: int, items: int) -> csr_matrix:
    columns = np.sort(rng.integers(0, items, (users, SEEN), dtype=np.int32), axis=1)
    values = np.full(columns.size, -np.inf, np.float32)
    return csr_matrix((values, columns.ravel(), np.arange(0, columns.size + 1, SEEN)), shape=(users, items))


def _product_seconds(vectors: NDArray[np.float32], items: NDArray[np.float32], rows: int, columns: int) -> float:
    buffer = np.empty(rows * columns, dtype=np.float32)
    started = time.perf_counter()
    for start in range(0, len(vectors), rows):
        left = vectors[start : start + rows]
        for first in range(0, len(items), columns):
            right = items[first : first + columns]
            np.matmul(left, right.T, out=buffer[: len(left) * len(right)].reshape(len(left), len(right)))
    return time.perf_counter() - started


def no_histories(shoppers: int, items: int) -> HistoryBlock:
    """A block of shoppers without entries."""
    whole, real = np.empty(0, np.int64), np.empty(0)
    return HistoryBlock(shoppers, items, whole, whole, whole, real, np.zeros(shoppers, np.int64))


def _list_seconds(vectors: NDArray[np.float32], items: NDArray[np.float32], seen: csr_matrix) -> float:
    """From a model that has just been loaded: what a search learns of shoppers is part of it."""
    artifact = factors_alone(items)
    made = cut(artifact, POLICY, K)
    size, width, _ = made
    buffer, order = made.buffer(len(vectors)), artifact.search_order(POLICY)
    terms = artifact.item_part(POLICY)
    started = time.perf_counter()
    for start in range(0, len(vectors), size):
        left = np.ones((len(vectors[start : start + size]), order.vectors.shape[1]), np.float32)
        left[:, :-1] = vectors[start : start + size]
        mine = seen[start : start + size]
        result = ScoredBlock(
            left=left, right=None, order=order, taste=None, item_part=terms, item_parts={}, whole=None, model_parts={},
            by_models=None, sparse_rows={}, sparse_parts={}, left_out=mine, unavailable=NOTHING, buffer=buffer,
            cold=None, popularity=terms, block=no_histories(len(left), len(items)), purchase_code=-1,
        )  # fmt: skip
        best_items(result, width, K)
    return time.perf_counter() - started


def _lists_per_second() -> float:
    tasks = cores()
    seconds = side_by_side(_many_items, [(n, THEIR_LISTS // tasks) for n in range(tasks)])
    return round(THEIR_LISTS / max(seconds), 1)


def _many_items(seed: int, users: int) -> float:
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((users, THEIR_RANK), dtype=np.float32)
    items = rng.standard_normal((MANY_ITEMS, THEIR_RANK), dtype=np.float32)
    seen = _seen(rng, users, MANY_ITEMS)
    _list_seconds(vectors[:1], items, seen)
    return min(_list_seconds(vectors, items, seen) for _ in range(3))
