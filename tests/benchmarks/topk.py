"""Exact top-20 of all users of Gowalla, tiled: against the matrix product alone, and against MLlib as Spark jobs."""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from freshet.recommendation.lists import _SCORE_CELLS
from freshet.top_k import top_k
from tests.benchmarks.tasks import cores, side_by_side
from tests.benchmarks.topk_jobs import whole_jobs

USERS, ITEMS, RANKS, K, SEEN = 300_000, 40_981, (64, 256), 20, 27
"""Gowalla's users ten times; each has had 27 of its items."""

MANY_ITEMS, THEIR_RANK, THEIR_LISTS = 1_000_000, 50, 2_000
QUICK_USERS, QUICK_RANKS, QUICK_PAIRS = 4_000, (64,), 3
_GEMM_ROWS = 1024


def topk(quick: bool, pairs: int = 5, shoppers: int | None = None) -> dict[str, Any]:
    """ratio_to_gemm_rank*: median over pairs of (product by blocks, masking, selection) / (product alone).

    In as many tasks as cores. The product alone takes the quicker of two block heights: the one that we use, and one
    of 1,024 users. mllib_over_ours_rank*: recommendForAllUsers to a Delta table over our lists to one, as whole Spark
    jobs from vectors (MLlib) and from histories (ours: read, folded in, masked, explained); not with --quick.
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
    items = rng.standard_normal((ITEMS, rank), dtype=np.float32)
    seen = rng.integers(0, ITEMS, (users, SEEN))
    rows = max(1, _SCORE_CELLS // ITEMS)
    _seconds(vectors[: 2 * rows], items, rows, seen)
    found = []
    for _ in range(pairs):
        alone = min(_seconds(vectors, items, height) for height in (rows, _GEMM_ROWS))
        found.append((alone, _seconds(vectors, items, rows, seen)))
    return found


def _seconds(
    vectors: NDArray[np.float32], items: NDArray[np.float32], rows: int, seen: NDArray[np.int64] | None = None
) -> float:
    started = time.perf_counter()
    for start, scores in _blocks(vectors, items, rows):
        if seen is not None:
            np.put_along_axis(scores, seen[start : start + rows], np.float32(-np.inf), axis=1)
            top_k(scores, K)
    return time.perf_counter() - started


def _blocks(
    vectors: NDArray[np.float32], items: NDArray[np.float32], rows: int
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    room = np.empty((rows, len(items)), dtype=np.float32)
    for start in range(0, len(vectors), rows):
        block = vectors[start : start + rows]
        yield start, np.matmul(block, items.T, out=room[: len(block)])


def _lists_per_second() -> float:
    tasks = cores()
    seconds = side_by_side(_many_items, [(n, THEIR_LISTS // tasks) for n in range(tasks)])
    return round(THEIR_LISTS / max(seconds), 1)


def _many_items(seed: int, users: int) -> float:
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((users, THEIR_RANK), dtype=np.float32)
    items = rng.standard_normal((MANY_ITEMS, THEIR_RANK), dtype=np.float32)
    seen = rng.integers(0, MANY_ITEMS, (users, SEEN))
    rows = max(1, _SCORE_CELLS // MANY_ITEMS)
    _seconds(vectors[:rows], items, rows, seen)
    return min(_seconds(vectors, items, rows, seen) for _ in range(3))
