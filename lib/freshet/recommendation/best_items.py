"""The best items of scored shoppers, and how many shoppers and items are scored at a time."""

import numpy as np
from numpy.typing import NDArray

from freshet.recommendation.artifact import Artifact
from freshet.recommendation.scoring import ScoredBlock, has_whole_rows
from freshet.top_k import DEPTH, add_columns, nothing_found, top_k

_SCORE_CELLS = 24_000_000
"""Scores of a block of shoppers, 96 MB of float32. A product of few shoppers spends its time on laying out the items'
vectors: of 700 lists of 60,000 items, 4 million cells took 0.31 to 0.35 s on one core, 24 million 0.25 s."""

_PANEL = (512, 16_384)
"""Shoppers and items of a panel. With whole rows of 1,000,000 items there is room for 24 shoppers, and their product
alone took 2.6 ms each on one core; in such panels 1.5, and 1.9 with the choice of the best. Narrower ones take longer
to choose from, since strips get short."""

_WHOLE_ROWS = 100_000
"""Items up to which rows are scored as a whole: of 41,000 a list took 98 us so, and 110 to 123 in panels."""


def cut(artifact: Artifact, policy: str, length: int) -> tuple[int, int]:
    """How many shoppers make a block, and how many items a panel of its scores."""
    items = len(artifact.items)
    shoppers, width = _PANEL[0], max(_PANEL[1], 2 * DEPTH * length)
    if items <= max(_WHOLE_ROWS, width) or has_whole_rows(artifact, policy):
        return max(1, _SCORE_CELLS // max(1, items)), items
    return shoppers, width


def best_items(result: ScoredBlock, width: int, length: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Columns and scores [shoppers, length] of the best, best first, ties by lower column; fewer of fewer items.

    `width` as `cut` gives it. Minus infinity is the score of what cannot be listed.
    """
    items = len(result.right)
    if width >= items:
        ((_, scores),) = result.panels(width)
        return top_k(scores, length)
    best = nothing_found(len(result.left), length, np.dtype(np.float32))
    for first, scores in result.panels(width):
        add_columns(best, scores, first)
    return best
