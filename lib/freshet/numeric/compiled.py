"""Compiles numeric kernels to machine code that runs without Python's lock, so that plain threads use all cores.

No threading layer of the compiler's own is used: Spark forks its Python workers, and such a layer does not survive it.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit

Kernel = TypeVar("Kernel", bound=Callable[..., Any])

_OPTIONS: dict[str, Any] = {
    "nogil": True,
    # Sums may be taken in any order, which lets them use vector registers. What is not a number stays what it is.
    "fastmath": {"contract", "reassoc", "nsz"},
    # A division by zero gives infinity, as in NumPy, instead of a branch before each division.
    "error_model": "numpy",
}


def compiled(kernel: Kernel) -> Kernel:
    """The kernel, compiled at its first call; kept next to the source or in the user's cache where that can be written.

    Where neither can be, each process compiles for itself (some seconds).
    """
    try:
        return njit(cache=True, **_OPTIONS)(kernel)
    except RuntimeError:
        return njit(**_OPTIONS)(kernel)
