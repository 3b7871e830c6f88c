"""Exact top-20 of all users of a Gowalla-like shape, against the matrix product alone."""

import time
from typing import Any

import numpy as np

from freshet.recommendation.lists import _SCORE_CELLS
from freshet.top_k import top_k
from tests.benchmarks.tasks import cores, side_by_side

USERS, ITEMS, RANK, K = 29_858, 40_981, 64, 20
QUICK_USERS = 4_000
PAIRS, QUICK_PAIRS = 7, 5
_GEMM_ROWS = 1024


def topk(quick: bool) -> dict[str, Any]:
    """ratio_to_gemm: median over pairs of (product by blocks + selection) / (product alone), in as many tasks as cores.

    The product alone takes the quicker of two block heights: the one that we use, and one of 1,024 users.
    """
    users, pairs, tasks = (QUICK_USERS, QUICK_PAIRS, cores()) if quick else (USERS, PAIRS, cores())
    seconds = np.array(side_by_side(_pairs, [(n, users // tasks, pairs) for n in range(tasks)])).sum(axis=0)
    ratios = seconds[:, 1] / seconds[:, 0]
    return {
        "ratio_to_gemm": round(float(np.median(ratios)), 3),
        "ratio_lowest": round(float(ratios.min()), 3),
        "ratio_highest": round(float(ratios.max()), 3),
        "gemm_seconds": round(float(np.median(seconds[:, 0])) / tasks, 3),
        "topk_seconds": round(float(np.median(seconds[:, 1])) / tasks, 3),
        "users": users,
        "items": ITEMS,
        "rank": RANK,
        "pairs": pairs,
    }


def _pairs(seed: int, users: int, pairs: int) -> list[tuple[float, float]]:
    """(seconds of the product, seconds of product and selection), one after the other, `pairs` times."""
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((users, RANK), dtype=np.float32)
    items = rng.standard_normal((ITEMS, RANK), dtype=np.float32)
    rows = max(1, _SCORE_CELLS // ITEMS)
    _blocks(vectors, items, rows, select=True)
    found = []
    for _ in range(pairs):
        alone = min(_blocks(vectors, items, height, select=False) for height in (rows, _GEMM_ROWS))
        found.append((alone, _blocks(vectors, items, rows, select=True)))
    return found


def _blocks(vectors: np.ndarray, items: np.ndarray, rows: int, *, select: bool) -> float:
    scores = np.empty((rows, len(items)), dtype=np.float32)
    started = time.perf_counter()
    for start in range(0, len(vectors), rows):
        block = vectors[start : start + rows]
        np.matmul(block, items.T, out=scores[: len(block)])
        if select:
            top_k(scores[: len(block)], K)
    return time.perf_counter() - started
