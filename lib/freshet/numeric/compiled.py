"""Compiles numeric kernels to machine code that runs without Python's lock, so that plain threads use all cores.

The compiler's own threading layer is not used, because it does not survive the forks of Spark's Python workers.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit

Kernel = TypeVar("Kernel", bound=Callable[..., Any])

_OPTIONS: dict[str, Any] = {
    "nogil": True,
    # Sums may be computed in any order, so that they use vector registers. NaN stays NaN.
    "fastmath": {"contract", "reassoc", "nsz"},
    # A division by zero gives infinity, as in NumPy, instead of a branch before each division.
    "error_model": "numpy",
}


def compiled(kernel: Kernel) -> Kernel:
    """The kernel, compiled at its first call and cached next to the source or in the user's cache, if writable.

    If neither is writable, each process compiles it again (some seconds).
    """
    try:
        return njit(cache=True, **_OPTIONS)(kernel)
    except RuntimeError:
        return njit(**_OPTIONS)(kernel)
