"""What the machine can do at this minute, so that figures of two machines, or of two minutes, can be compared."""

import time

import numpy as np


def gemm_gflops(size: int = 2048, repeats: int = 7) -> float:
    """GFLOP/s of a float32 product of two square matrices on all cores, the best of the repeats."""
    rng = np.random.default_rng(0)
    a, b = rng.random((2, size, size), dtype=np.float32)
    out = np.empty_like(a)
    best = np.inf
    for _ in range(repeats):
        started = time.perf_counter()
        np.matmul(a, b, out=out)
        best = min(best, time.perf_counter() - started)
    return 2 * size**3 / best / 1e9
