"""Placements about items of the shopper: what is like the newest item, what goes with the items of the cart."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from freshet.contracts.events import ADD_TO_CART, PURCHASE, REMOVE_FROM_CART
from freshet.contracts.policies import NEW_ITEMS, NEXT_BASKETS
from freshet.models.items.next_items import NextItems
from freshet.ranking.artifact import Artifact
from freshet.ranking.histories.history_block import HistoryBlock
from freshet.ranking.placements.placement import (
    NOTHING,
    PageRequest,
    PlacedLists,
    Placement,
    in_order_of_score,
    padded,
    without,
)
from freshet.ranking.terms.reason import GOES_WITH, SIMILAR_TO, Reason


class BecauseYouTook(Placement):
    """The items most similar to the newest item that the shopper took and that has similar items."""

    name = "because_you_took"
    description = "Similar to the item that the shopper took last"
    task = NEW_ITEMS

    def lists(self, request: PageRequest, excluded: NDArray[np.int64]) -> PlacedLists:
        block, similar = request.block, request.artifact.similarity
        age = block.newest_days([request.artifact.recipe.target_code])
        row, item = block.pairs()
        usable = np.isfinite(age) & (np.diff(similar.indptr) > 0)[item]
        order = np.lexsort((item[usable], age[usable], row[usable]))
        row, item = row[usable][order], item[usable][order]
        first = np.append(True, row[1:] != row[:-1])[: len(row)]
        about = np.full(block.shoppers, NOTHING)
        about[row[first]] = item[first]
        chosen = csr_matrix(
            (np.ones(int(first.sum()), np.float32), (row[first], item[first])), shape=(block.shoppers, block.items)
        )
        return _without_own_items(request, chosen @ similar, about, excluded, SIMILAR_TO)


class GoesWith(Placement):
    """What tends to follow the items in the cart: the sum of their weights in the model of next items, or, without this
    model, of their similarities. The list is about the item that came into the cart last."""

    name = "goes_with"
    description = "Goes with the items in the cart"
    task = NEXT_BASKETS

    def lists(self, request: PageRequest, excluded: NDArray[np.int64]) -> PlacedLists:
        block = request.block
        carts, about = _carts(block, request.artifact, request.cart_days)
        return _without_own_items(request, carts @ complements(request.artifact), about, excluded, GOES_WITH)


def complements(artifact: Artifact) -> csr_matrix:
    """float32 [items, items]: what goes with an item, by its row."""
    weights = artifact.item_weights.get(NextItems.name)
    return artifact.similarity if weights is None else weights


def _carts(block: HistoryBlock, artifact: Artifact, days: float) -> tuple[csr_matrix, NDArray[np.int64]]:
    """[shoppers, items]: 1 for the items in the cart, and the newest of each shopper, NOTHING for none. An item is in
    the cart if it was put there in these days, and neither taken out nor bought since then."""
    code = artifact.recipe.event_code
    added = block.newest_days([code(ADD_TO_CART)])
    gone = block.newest_days([code(PURCHASE), code(REMOVE_FROM_CART)])
    row, item = block.pairs()
    inside = (added <= days) & (added < gone)
    row, item, age = row[inside], item[inside], added[inside]
    order = np.lexsort((item, age, row))
    first = np.append(True, row[order][1:] != row[order][:-1])[: len(row)]
    about = np.full(block.shoppers, NOTHING)
    about[row[order][first]] = item[order][first]
    shape = (block.shoppers, block.items)
    return csr_matrix((np.ones(len(row), np.float32), (row, item)), shape=shape), about


def _without_own_items(
    request: PageRequest, scores: csr_matrix, about: NDArray[np.int64], excluded: NDArray[np.int64], reason: Reason
) -> PlacedLists:
    """Lists by the values above 0 of `scores` [shoppers, items], without items that the shopper has."""
    block = request.block
    row, item = np.repeat(np.arange(block.shoppers), np.diff(scores.indptr)), scores.indices.astype(np.int64)
    own = np.multiply(block.pairs()[0], block.items) + block.pairs()[1]
    keep = (scores.data > 0) & request.may_be_listed[item] & ~np.isin(row * block.items + item, own)
    candidates = padded(row[keep], item[keep], scores.data[keep].astype(np.float32), block.shoppers)
    return in_order_of_score(request, without(candidates, excluded, at_least=request.length), about, reason)
