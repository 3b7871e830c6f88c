"""The interface of placements: lists of a shopper's page, each with its own candidates and its own order.

A new placement is a class with the methods of `Placement` and one line in placements/registry.py. Settings, page,
batch, stream and evaluation use it through the registry.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from freshet.numeric.compiled import compiled
from freshet.numeric.top_k import Found
from freshet.ranking.artifact import Artifact
from freshet.ranking.histories.history_block import HistoryBlock
from freshet.ranking.ordering.ranked_lists import by_score
from freshet.ranking.terms.reason import Reason
from freshet.rules.list_rules import ListRules

NOTHING = -1
"""In place of an item: there is none."""


@dataclass(frozen=True)
class PageRequest:
    """What lists of a placement are made from. `block`: the shoppers' histories; `rules`: those that hold for all
    placements; `length`: most items of a list; `visit_minutes` and `cart_days` as in PlacementParameters."""

    block: HistoryBlock
    artifact: Artifact
    rules: ListRules
    length: int
    visit_minutes: float
    cart_days: float

    @cached_property
    def may_be_listed(self) -> NDArray[np.bool_]:
        """[items]: false for items that are in nobody's list."""
        found = np.ones(self.block.items, dtype=np.bool_)
        found[self.rules.left_out] = False
        return found


class PlacedLists(NamedTuple):
    """Lists [shoppers, length], best first: columns, and scores with minus infinity for places without an item; `about`
    [shoppers]: the column of the item that a list is about, NOTHING for none; `words`: the reason of each place, row
    after row, as texts or as codes of a dictionary."""

    columns: NDArray[np.int64]
    scores: NDArray[np.float32]
    about: NDArray[np.int64]
    words: pa.Array


class Placement(Protocol):
    """A kind of list. name: used in settings and in the column `placements` of list tables; description: what it shows.
    task: the task by which `freshet evaluate` judges it (contracts/policies.py)."""

    name: str
    description: str
    task: str

    def lists(self, request: PageRequest, excluded: NDArray[np.int64]) -> PlacedLists:
        """The lists of all shoppers of the request without the items `excluded` [shoppers, n], NOTHING for no item.
        A shopper for whom the placement has nothing has a list without items."""
        ...


def without(candidates: Found[np.float32], excluded: NDArray[np.int64], *, at_least: int) -> Found[np.float32]:
    """The candidates [shoppers, n] with minus infinity for the score of those that are `excluded` [shoppers, m], and
    with at least so many columns."""
    more = ((0, 0), (0, max(0, at_least - candidates[0].shape[1])))
    columns, scores = np.pad(candidates[0], more), np.pad(candidates[1], more, constant_values=-np.inf)
    _leave_out(columns, excluded, scores)
    return columns, scores


@compiled
def _leave_out(
    columns: NDArray[np.int64], excluded: NDArray[np.int64], scores: NDArray[np.float32]
) -> None:  # fmt: skip
    for row in range(len(columns)):
        for place in range(columns.shape[1]):
            for n in range(excluded.shape[1]):
                if columns[row, place] == excluded[row, n]:
                    scores[row, place] = -np.inf
                    break


def in_order_of_score(
    request: PageRequest, candidates: Found[np.float32], about: NDArray[np.int64], reason: Reason
) -> PlacedLists:
    """Lists of candidates with scores of their own, all for one `reason`, with the item that the list is about."""
    made = by_score(
        request.block, request.artifact, *candidates, candidates[1], length=request.length, rules=request.rules
    )
    shape, items = made.columns.shape, request.artifact.items
    named = pa.array(np.repeat(np.maximum(about, 0), shape[1]))
    words = pa.array([f"{reason.code}:"]).take(pa.array(np.zeros(len(named), np.int64)))
    texts = pa.compute.binary_join_element_wise(words, items.take(named), "")
    return PlacedLists(made.columns, made.scores, about, texts)


def padded(
    row: NDArray[np.int64], column: NDArray[np.int64], values: NDArray[np.float32], shoppers: int
) -> Found[np.float32]:
    """Columns and values [shoppers, widest] from (row, column, value) in rising order of row; minus infinity where a
    shopper has fewer."""
    counts = np.bincount(row, minlength=shoppers)
    place = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    columns = np.full((shoppers, max(1, int(counts.max(initial=0)))), 0, dtype=np.int64)
    scores = np.full(columns.shape, -np.inf, dtype=np.float32)
    columns[row, place], scores[row, place] = column, values
    return columns, scores
