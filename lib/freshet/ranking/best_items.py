"""The best items of scored shoppers, and how many shoppers and items are scored at a time."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from freshet.numeric.top_k import DEPTH, Found, top_k
from freshet.ranking.artifact import Artifact
from freshet.ranking.scoring import ScoredBlock, has_whole_rows, reached_items
from freshet.ranking.search.bounded_search import TOGETHER, searched

_SCORE_CELLS = 24_000_000
"""Scores of a block of shoppers, 96 MB of float32. A product for few shoppers spends its time on laying out the items'
vectors: 700 lists of 60,000 items took 0.31 to 0.35 s on one core with 4 million cells, 0.25 s with 24 million."""

_PANEL = (8192, 1280)
"""Shoppers of a block, enough for clusters to pay off, and items of a product, 5 MB. With 1,000,000 items, blocks of
whole rows could hold only 24 shoppers."""


class Cut(NamedTuple):
    """Shoppers of a block, items of a product, and whether lists are found by a search over several products."""

    shoppers: int
    items: int
    is_search: bool

    def buffer(self, shoppers: int) -> NDArray[np.float32]:
        """A buffer for the scores or bounds of a product, for this many shoppers in total."""
        most = min(shoppers, self.shoppers)
        return np.empty((min(most, TOGETHER) if self.is_search else most) * self.items, dtype=np.float32)


def cut(artifact: Artifact, policy: str, length: int) -> Cut:
    """The cut for lists of this many items under the recipe's weights of `policy`."""
    items = len(artifact.items)
    shoppers, width = _PANEL[0], max(_PANEL[1], 2 * DEPTH * length)
    if items <= 2 * width or has_whole_rows(artifact, policy):
        return Cut(max(1, _SCORE_CELLS // max(1, items)), items, is_search=False)
    # The items that item models reach are kept for all shoppers of a block: as many numbers as scores of whole rows.
    few = int(_SCORE_CELLS / max(1.0, reached_items(artifact, policy)))
    return Cut(max(1, min(shoppers, few)), width, is_search=True)


def best_items(result: ScoredBlock, width: int, length: int) -> Found[np.float32]:
    """Columns and scores [shoppers, length] of the best items, best first, ties by lower column; fewer if there are
    fewer items.

    `width`: items of a product, as from `cut`. Minus infinity is the score of items that must not be listed.
    """
    if result.order is None:
        return top_k(result.rows, length)
    left_out = np.zeros(len(result.item_part), dtype=np.bool_)
    left_out[result.order.places[result.unavailable]] = True
    warm = np.arange(len(result.left)) if result.cold is None else np.flatnonzero(~result.cold)
    best = searched(
        result.left, result.order, result.own(),
        left_out=left_out, rows=warm, width=width, length=length, buffer=result.buffer,
    )  # fmt: skip
    if result.cold is not None:
        # The list is the same for each: nothing is left out for a shopper without known items.
        scores = result.popularity.copy()
        scores[result.unavailable] = -np.inf
        columns, values = top_k(scores[None, :], length)
        best[0][result.cold], best[1][result.cold] = columns, values
    return best
