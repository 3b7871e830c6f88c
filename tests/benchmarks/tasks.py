"""Work in processes of one BLAS thread each, as Spark's Python workers do it."""

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

T = TypeVar("T")

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def side_by_side(work: Callable[..., T], arguments: Sequence[tuple[object, ...]]) -> list[T]:
    """Results of `work` for each tuple of arguments, each in a fresh process, all at the same time."""
    before = {name: os.environ.get(name) for name in _THREADS}
    # A BLAS reads it once, when it is loaded: it has to stand there before the process starts.
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        with ProcessPoolExecutor(len(arguments), mp_context=multiprocessing.get_context("spawn")) as pool:
            return [future.result() for future in [pool.submit(work, *each) for each in arguments]]
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name)
            else:
                os.environ[name] = value


def cores() -> int:
    """Processors that this process may use, at most 2: the size that all figures are stated for."""
    return min(2, len(os.sched_getaffinity(0)))
