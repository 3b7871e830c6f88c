"""Exact top-20 of all users of Gowalla, tiled: against the matrix product alone, and against MLlib as Spark jobs."""

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from freshet.recommendation.artifact import Artifact
from freshet.recommendation.best_items import best_items, cut
from freshet.recommendation.scoring import NOTHING, ScoredBlock
from tests.benchmarks.tasks import cores, side_by_side
from tests.benchmarks.topk_jobs import POLICY, factors_alone, whole_jobs

USERS, ITEMS, RANKS, K, SEEN = 300_000, 40_981, (64, 256), 20, 27
"""Gowalla's users ten times; each has had 27 of its items."""

MANY_ITEMS, THEIR_RANK, THEIR_LISTS = 1_000_000, 50, 2_000
QUICK_USERS, QUICK_RANKS, QUICK_PAIRS = 4_000, (64,), 3
_GEMM_BLOCKS = ((585, ITEMS), (1024, ITEMS), (512, 2048))
"""Shoppers and items of a product; the quickest of them is what our lists are measured against."""


def topk(quick: bool, pairs: int = 5, shoppers: int | None = None) -> dict[str, Any]:
    """ratio_to_gemm_rank*: median over pairs of (product by blocks, masking, selection) / (product alone).

    In as many tasks as cores. The product alone takes the quickest of three ways to cut it into blocks.
    mllib_over_ours_rank*: recommendForAllUsers to a Delta table over our lists to one, as whole Spark jobs from vectors
    (MLlib) and from histories (ours: read, folded in, masked, explained); not with --quick.
    lists_per_s_1m_items: of 1,000,000 items of rank 50.
    """
    users, ranks = (QUICK_USERS, QUICK_RANKS) if quick else (shoppers or USERS, RANKS)
    found: dict[str, Any] = {"users": users, "items": ITEMS, "pairs": QUICK_PAIRS if quick else pairs}
    for rank in ranks:
        found |= _against_gemm(rank, users, found["pairs"])
    # The bar is one number: that of the rank at which it is higher.
    found["ratio_to_gemm"] = max(found[f"ratio_to_gemm_rank{rank}"] for rank in ranks)
    if not quick:
        found["lists_per_s_1m_items"] = _lists_per_second()
        for rank in ranks:
            found |= whole_jobs(rank, users, pairs)
        found["mllib_over_ours"] = min(found[f"mllib_over_ours_rank{rank}"] for rank in ranks)
    return found


def _against_gemm(rank: int, users: int, pairs: int) -> dict[str, Any]:
    tasks = cores()
    arguments = [(n, users // tasks, rank, pairs) for n in range(tasks)]
    seconds = np.array(side_by_side(_pairs, arguments)).sum(axis=0)
    ratios = seconds[:, 1] / seconds[:, 0]
    return {
        f"ratio_to_gemm_rank{rank}": round(float(np.median(ratios)), 3),
        f"ratio_to_gemm_rank{rank}_lowest": round(float(ratios.min()), 3),
        f"ratio_to_gemm_rank{rank}_highest": round(float(ratios.max()), 3),
        f"gemm_seconds_rank{rank}": round(float(np.median(seconds[:, 0])) / tasks, 3),
        f"topk_seconds_rank{rank}": round(float(np.median(seconds[:, 1])) / tasks, 3),
    }


def _pairs(seed: int, users: int, rank: int, pairs: int) -> list[tuple[float, float]]:
    """(seconds of the product, seconds of product, masking and selection), one after the other, `pairs` times."""
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((users, rank), dtype=np.float32)
    artifact = factors_alone(rng.standard_normal((ITEMS, rank), dtype=np.float32))
    seen = _seen(rng, users, ITEMS)
    _list_seconds(vectors[:1024], artifact, seen)
    found = []
    for _ in range(pairs):
        alone = min(_product_seconds(vectors, artifact.factors, *block) for block in _GEMM_BLOCKS)
        found.append((alone, _list_seconds(vectors, artifact, seen)))
    return found


def _seen(rng: np.random.Generator, users: int, items: int) -> csr_matrix:
    columns = np.sort(rng.integers(0, items, (users, SEEN), dtype=np.int32), axis=1)
    values = np.full(columns.size, -np.inf, np.float32)
    return csr_matrix((values, columns.ravel(), np.arange(0, columns.size + 1, SEEN)), shape=(users, items))


def _product_seconds(vectors: NDArray[np.float32], items: NDArray[np.float32], rows: int, columns: int) -> float:
    room = np.empty(rows * columns, dtype=np.float32)
    started = time.perf_counter()
    for start in range(0, len(vectors), rows):
        left = vectors[start : start + rows]
        for first in range(0, len(items), columns):
            right = items[first : first + columns]
            np.matmul(left, right.T, out=room[: len(left) * len(right)].reshape(len(left), len(right)))
    return time.perf_counter() - started


def _list_seconds(vectors: NDArray[np.float32], artifact: Artifact, seen: csr_matrix) -> float:
    size, width = cut(artifact, POLICY, K)
    room, items = np.empty(size * width, dtype=np.float32), artifact.dense(POLICY)
    started = time.perf_counter()
    for start in range(0, len(vectors), size):
        left = np.ones((len(vectors[start : start + size]), items.shape[1]), np.float32)
        left[:, :-1] = vectors[start : start + size]
        mine = seen[start : start + size]
        best_items(ScoredBlock(left, items, None, {}, None, mine, NOTHING, room, None, items[:, -1]), width, K)
    return time.perf_counter() - started


def _lists_per_second() -> float:
    tasks = cores()
    seconds = side_by_side(_many_items, [(n, THEIR_LISTS // tasks) for n in range(tasks)])
    return round(THEIR_LISTS / max(seconds), 1)


def _many_items(seed: int, users: int) -> float:
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((users, THEIR_RANK), dtype=np.float32)
    artifact = factors_alone(rng.standard_normal((MANY_ITEMS, THEIR_RANK), dtype=np.float32))
    seen = _seen(rng, users, MANY_ITEMS)
    _list_seconds(vectors[:1], artifact, seen)
    return min(_list_seconds(vectors, artifact, seen) for _ in range(3))
