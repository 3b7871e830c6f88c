"""Exact top-k of score rows, by the maxima of strips.

The columns are cut into strips of 32 scores that lie a strip's number apart, so that all maxima come from one pass over
whole rows. The k-th highest maximum bounds a row's k-th best score from below: only the k strips that reach it are
looked into. Equal scores are ordered by column everywhere, also at the edge: columns stand in item_id order, so ties go
to the lower item_id.
"""

from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

_DEPTH = 32
"""Scores of a strip: deeper ones have fewer maxima to select from and more scores to look into; measured as best."""

Float = TypeVar("Float", bound=np.floating)
Found: TypeAlias = tuple[NDArray[np.int64], NDArray[Float]]


def top_k(scores: NDArray[Float], k: int) -> Found[Float]:
    """Columns and values [rows, min(k, columns)] of each row's highest scores, best first, ties by lower column.

    Minus infinity marks what may not be listed; it comes last. k below 1 gives no columns. Raises ValueError for NaN.
    """
    rows, columns = scores.shape
    k = max(0, min(k, columns))
    strips = columns // _DEPTH
    if k == 0 or strips <= 2 * k:  # so few strips are a detour that costs more than it saves
        _refuse_nan(scores)
        return _whole_rows(scores, k)
    body = scores[:, : strips * _DEPTH].reshape(rows, _DEPTH, strips)
    tail = scores[:, strips * _DEPTH :]
    highest = body.max(axis=1)
    _refuse_nan(highest)
    _refuse_nan(tail)
    edge = np.partition(highest, strips - k, axis=1)[:, strips - k]
    wanted = highest >= edge[:, None]
    # Maxima that tie at the edge, minus infinity among them: more strips than k, which may hold anything.
    crowded = np.count_nonzero(wanted, axis=1) > k
    wanted[crowded] = False
    found = np.empty((rows, k), dtype=np.int64), np.empty((rows, k), dtype=scores.dtype)
    _fill(found, ~crowded, _within_strips(body, tail, wanted, edge, ~crowded, k))
    if crowded.any():
        _fill(found, crowded, _whole_rows(scores[crowded], k))
    return found


def _fill(found: Found[Float], rows: NDArray[np.bool_], part: Found[Float]) -> None:
    found[0][rows], found[1][rows] = part


def _refuse_nan(values: NDArray[Float]) -> None:
    if np.isnan(values).any():
        raise ValueError("a score is not a number")


def _within_strips(
    body: NDArray[Float],
    tail: NDArray[Float],
    wanted: NDArray[np.bool_],
    edge: NDArray[Float],
    easy: NDArray[np.bool_],
    k: int,
) -> Found[Float]:
    """The k best of the rows marked `easy`, from their wanted strips and the columns behind the last strip."""
    depth, strips = body.shape[1:]
    # Flat places and a division: quicker than two-dimensional ones.
    row, strip = np.divmod(np.flatnonzero(wanted), strips)
    inside = body[row, :, strip]
    pair, place = np.divmod(np.flatnonzero(inside >= edge[row, None]), depth)
    tail_row, tail_place = np.nonzero((tail >= edge[:, None]) & easy[:, None])
    rows = np.concatenate([row[pair], tail_row])
    columns = np.concatenate([place * strips + strip[pair], depth * strips + tail_place])
    values = np.concatenate([inside[pair, place], tail[tail_row, tail_place]])
    order = np.lexsort((columns, -values, rows))
    counts = np.bincount(rows, minlength=len(easy))
    starts = (np.cumsum(counts) - counts)[easy]
    first = order[starts[:, None] + np.arange(k)]
    return columns[first], values[first]


def _whole_rows(scores: NDArray[Float], k: int) -> Found[Float]:
    rows, columns = scores.shape
    if k == 0:
        return np.empty((rows, 0), dtype=np.int64), np.empty((rows, 0), dtype=scores.dtype)
    edge = np.partition(scores, columns - k, axis=1)[:, columns - k, None]
    chosen = scores >= edge
    tied = np.flatnonzero(np.count_nonzero(chosen, axis=1) > k)
    if len(tied):  # the lowest columns of those at the edge that there is room for
        above = scores[tied] > edge[tied]
        at_edge = chosen[tied] & ~above
        room = k - np.count_nonzero(above, axis=1)[:, None]
        chosen[tied] = above | (at_edge & (np.cumsum(at_edge, axis=1) <= room))
    found = np.nonzero(chosen)[1].reshape(rows, k)
    values = np.take_along_axis(scores, found, axis=1)
    # Columns rise, and a stable sort keeps them so among equal scores.
    order = np.argsort(-values, axis=1, kind="stable")
    return np.take_along_axis(found, order, axis=1), np.take_along_axis(values, order, axis=1)
