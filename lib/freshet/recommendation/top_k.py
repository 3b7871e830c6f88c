"""Exact top-k of score rows, by the maxima of chunks.

Each row is cut into chunks of 128 scores. A row's k best scores lie within the k chunks of highest maximum, so a full
selection is needed in those only. Equal scores are ordered by column everywhere, also at the edges: columns stand in
item_id order, so ties go to the lower item_id.
"""

import numpy as np
from numpy.typing import NDArray

_CHUNK = 128


def top_k(scores: NDArray[np.float32], k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Columns and values [rows, min(k, columns)] of each row's highest scores, best first, ties by lower column.

    Minus infinity marks what may not be listed; it comes last. Raises ValueError for NaN.
    """
    rows, columns = scores.shape
    k = min(k, columns)
    if np.isnan(scores).any():
        raise ValueError("a score is not a number")
    if columns <= _CHUNK * k:
        return _selected(scores, np.broadcast_to(np.arange(columns), scores.shape), k)
    chunks = -(-columns // _CHUNK)
    padded = scores
    if chunks * _CHUNK != columns:
        padded = np.full((rows, chunks * _CHUNK), -np.inf, dtype=scores.dtype)
        padded[:, :columns] = scores
    cells = padded.reshape(rows, chunks, _CHUNK)
    best_chunks = _best_columns(cells.max(axis=2), k)
    candidates = np.take_along_axis(cells, best_chunks[:, :, None], axis=1).reshape(rows, k * _CHUNK)
    origin = (best_chunks[:, :, None] * _CHUNK + np.arange(_CHUNK)).reshape(rows, k * _CHUNK)
    return _selected(candidates, origin, k)


def _best_columns(values: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """Per row the columns of the k highest values in rising column order; ties at the edge go to lower columns."""
    columns = values.shape[1]
    if k == columns:
        return np.broadcast_to(np.arange(columns), values.shape)
    edge = np.partition(values, columns - k, axis=1)[:, columns - k, None]
    above = values > edge
    at_edge = values == edge
    room = k - above.sum(axis=1, keepdims=True)
    chosen = above | (at_edge & (np.cumsum(at_edge, axis=1) <= room))
    return np.nonzero(chosen)[1].reshape(len(values), k)


def _selected(
    values: NDArray[np.float32], origin: NDArray[np.int64], k: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    chosen = _best_columns(values, k)
    picked = np.take_along_axis(values, chosen, axis=1)
    # Chosen columns rise, and a stable sort keeps them so among equal scores.
    order = np.argsort(-picked, axis=1, kind="stable")
    return (
        np.take_along_axis(np.take_along_axis(origin, chosen, axis=1), order, axis=1),
        np.take_along_axis(picked, order, axis=1),
    )
