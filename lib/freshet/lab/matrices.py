"""The one orientation of matrices: users are rows, items are columns; in weights between items, sources are rows."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix, issparse

from freshet.core.errors import InputError, listed

USERS_BY_ITEMS = ("users", "items")
WEIGHTS = ("sources", "items")


def checked_matrix(
    matrix: Any, shape: Sequence[int], *, where: str, axes: tuple[str, str] = USERS_BY_ITEMS
) -> csr_matrix:
    """float64 in compressed rows, of this shape; `axes` are the words for rows and columns in errors.

    `matrix`: two-dimensional, NumPy or scipy.sparse, of finite numbers. Raises InputError with the expected and the
    found orientation. A square matrix that is turned round cannot be told from a right one.
    """
    if not issparse(matrix):
        matrix = np.asarray(matrix)
    expected = f"{axes[0]} x {axes[1]} = {shape[0]} x {shape[1]}"
    if matrix.ndim != 2 or tuple(matrix.shape) != tuple(shape):
        turned = matrix.ndim == 2 and tuple(matrix.shape) == tuple(shape)[::-1]
        found = " x ".join(str(side) for side in matrix.shape)
        raise InputError(
            f"the matrix has the wrong {'orientation' if turned else 'shape'}",
            where=where,
            expected=f"{expected} (rows are {axes[0]})",
            found=f"{axes[1]} x {axes[0]} = {found}" if turned else found,
            do="Pass its transpose, matrix.T" if turned else "",
        )
    _check_numbers(matrix, where)
    return csr_matrix(matrix, dtype=np.float64)


def _check_numbers(matrix: Any, where: str) -> None:
    values = matrix.data if issparse(matrix) else matrix
    problems = []
    if values.dtype.kind not in "biuf":
        problems.append(f"its values are no numbers but {values.dtype}")
    elif not np.isfinite(values).all():
        problems.append(f"{int((~np.isfinite(values)).sum())} of its values are not finite")
    if problems:
        raise InputError(listed(problems), where=where, expected="finite numbers")
