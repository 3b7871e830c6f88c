"""Fold-in of shoppers with 50 to 100 items each at rank 64."""

import time
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from freshet.recommendation.fold_in import folded_in, gram_matrix
from tests.benchmarks.tasks import cores, side_by_side

SHOPPERS, ITEMS, RANK = 40_000, 40_981, 64
QUICK_SHOPPERS = 8_000
ALPHA, REG = 1.0, 0.1
REPEATS = 5
CHECKED = 200


def foldin(quick: bool) -> dict[str, Any]:
    """shoppers_per_s_rank64 in as many tasks as cores (median of repeats), and max_error against a plain solve."""
    shoppers, tasks = (QUICK_SHOPPERS if quick else SHOPPERS), cores()
    found = side_by_side(_measured, [(n, shoppers // tasks) for n in range(tasks)])
    # The slowest task of a repeat decides when all are done.
    seconds = np.array([each for each, _ in found]).max(axis=0)
    return {
        "shoppers_per_s_rank64": round(shoppers / float(np.median(seconds))),
        "shoppers_per_s_lowest": round(shoppers / float(seconds.max())),
        "max_error": max(error for _, error in found),
        "shoppers": shoppers,
        "items": ITEMS,
        "tasks": tasks,
    }


def _measured(seed: int, shoppers: int) -> tuple[list[float], float]:
    rng = np.random.default_rng(seed)
    factors = rng.standard_normal((ITEMS, RANK), dtype=np.float32) * np.float32(0.2)
    gram = gram_matrix(factors)
    lengths = rng.integers(50, 101, shoppers)
    columns = np.concatenate([np.sort(rng.choice(ITEMS, length, replace=False, shuffle=False)) for length in lengths])
    starts = np.concatenate([[0], np.cumsum(lengths)])
    strengths = csr_matrix((rng.random(len(columns)) * 3, columns, starts), shape=(shoppers, ITEMS))
    seconds = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        vectors = folded_in(strengths, factors, gram, alpha=ALPHA, reg_param=REG)
        seconds.append(time.perf_counter() - started)
    return seconds, max(_error(strengths[n], factors, gram, vectors[n]) for n in range(CHECKED))


def _error(row: csr_matrix, factors: np.ndarray, gram: np.ndarray, vector: np.ndarray) -> float:
    own, extra = factors[row.indices].astype(np.float64), ALPHA * row.data
    left = gram + (own.T * extra) @ own + REG * len(extra) * np.eye(RANK)
    return float(np.abs(np.linalg.solve(left, (1 + extra) @ own) - vector).max())
