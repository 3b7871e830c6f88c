"""Placements in the order of the blend: items to buy again, items that are new to the shopper, what fits a visit."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from freshet.contracts.events import PURCHASE
from freshet.contracts.policies import NEW_ITEMS, NEXT_BASKETS
from freshet.numeric.top_k import Found
from freshet.ranking.best_items import best_items, cut
from freshet.ranking.histories.history_block import HistoryBlock
from freshet.ranking.ordering.ranked_lists import candidates_for, ordered
from freshet.ranking.placements.placement import NOTHING, PageRequest, PlacedLists, Placement, padded, without
from freshet.ranking.reasons import reasons
from freshet.ranking.scoring import ScoredBlock, scored


class BuyAgain(Placement):
    """Items that the shopper has bought, in the order in which they are due."""

    name = "buy_again"
    description = "Bought before, most likely to be bought again"
    task = NEXT_BASKETS

    def lists(self, request: PageRequest, excluded: NDArray[np.int64]) -> PlacedLists:
        artifact, parts = request.artifact, []
        purchase = artifact.recipe.event_code(PURCHASE)
        for part in _scored_parts(request, request.block, NEXT_BASKETS, 1):
            own = part.result.block.touched(purchase)
            row = np.repeat(np.arange(own.shape[0]), np.diff(own.indptr))
            kept = request.may_be_listed[own.indices]
            columns, values = padded(
                row[kept], own.indices[kept].astype(np.int64), own.data[kept].astype(np.float32), own.shape[0]
            )
            scores = np.where(np.isfinite(values), part.result.scores_of(artifact, columns), values)
            parts.append(_listed(request, part.result, NEXT_BASKETS, (columns, scores), excluded[part.rows]))
        return _joined(parts, request)


class ForYou(Placement):
    """Items that are new to the shopper; popular ones for shoppers without known items."""

    name = "for_you"
    description = "New to the shopper, and to the shopper's taste"
    task = NEW_ITEMS

    def lists(self, request: PageRequest, excluded: NDArray[np.int64]) -> PlacedLists:
        return _best(request, request.block, excluded)


class Session(Placement):
    """What fits the items of the visit that is going on: the best items for a shopper who had nothing else before.

    There is none for shoppers who are in no visit.
    """

    name = "session"
    description = "Fits what the shopper looks at in this visit"
    task = NEXT_BASKETS

    def lists(self, request: PageRequest, excluded: NDArray[np.int64]) -> PlacedLists:
        visit = request.block.current_visit(request.visit_minutes)
        row, item = visit.pairs()
        seen, values = padded(row, item, np.ones(len(row), np.float32), visit.shoppers)
        seen[~np.isfinite(values)] = NOTHING
        made = _best(request, visit, np.concatenate([excluded, seen], axis=1))
        is_in_visit = (seen != NOTHING).any(axis=1)
        return made._replace(scores=np.where(is_in_visit[:, None], made.scores, np.float32(-np.inf)))


class _Part(NamedTuple):
    """Some shoppers of a request: their rows, the scores of their items, and the items of a product."""

    rows: slice
    result: ScoredBlock
    width: int


def _scored_parts(request: PageRequest, block: HistoryBlock, policy: str, wanted: int) -> Iterator[_Part]:
    """The scores of a block, some shoppers at a time, with at least `wanted` candidates each."""
    artifact = request.artifact
    made = cut(artifact, policy, candidates_for(artifact, policy, wanted, request.rules))
    buffer = made.buffer(block.shoppers)
    for start in range(0, block.shoppers, made.shoppers):
        result = scored(
            block.part(start, start + made.shoppers), artifact, policy=policy, unavailable=request.rules.left_out,
            buffer=buffer, for_search=made.is_search,
        )  # fmt: skip
        yield _Part(slice(start, start + made.shoppers), result, made.items)


def _best(request: PageRequest, block: HistoryBlock, excluded: NDArray[np.int64]) -> PlacedLists:
    """The best items of `block` that are new to its shoppers."""
    wanted, parts = request.length + excluded.shape[1], []
    few = candidates_for(request.artifact, NEW_ITEMS, wanted, request.rules)
    for part in _scored_parts(request, block, NEW_ITEMS, wanted):
        best = best_items(part.result, part.width, few)
        parts.append(_listed(request, part.result, NEW_ITEMS, best, excluded[part.rows]))
    return _joined(parts, request)


def _listed(
    request: PageRequest, result: ScoredBlock, policy: str, best: Found[np.float32], excluded: NDArray[np.int64]
) -> PlacedLists:
    artifact = request.artifact
    lists = ordered(
        result,
        artifact,
        without(best, excluded, at_least=request.length),
        policy=policy,
        length=request.length,
        rules=request.rules,
    )
    columns = np.where(np.isfinite(lists.scores), lists.columns, 0)
    words = reasons(artifact, result, columns, np.where(np.isfinite(lists.blended), lists.blended, 0))
    return PlacedLists(columns, lists.scores, np.full(len(columns), NOTHING), _texts(words))


def _texts(words: pa.Array) -> pa.Array:
    return words.dictionary_decode() if pa.types.is_dictionary(words.type) else words


def _joined(parts: list[PlacedLists], request: PageRequest) -> PlacedLists:
    nothing = np.empty((0, request.length), np.int64)
    none = PlacedLists(nothing, nothing.astype(np.float32), nothing[:, 0], pa.array([], pa.string()))
    every = [none, *parts]
    return PlacedLists(
        np.concatenate([part.columns for part in every]), np.concatenate([part.scores for part in every]),
        np.concatenate([part.about for part in every]), pa.concat_arrays([part.words for part in every]),
    )  # fmt: skip
