"""The placements of shoppers' pages, as the column `placements` of list tables."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql.pandas.types import to_arrow_type

from freshet.contracts.models import PAGE
from freshet.ranking.artifact import Artifact
from freshet.ranking.histories.history_block import HistoryBlock
from freshet.ranking.placements.parameters import PlacementParameters
from freshet.ranking.placements.placement import NOTHING, PageRequest, PlacedLists
from freshet.ranking.placements.registry import PLACEMENTS
from freshet.rules.list_rules import ListRules

PAGE_TYPE = to_arrow_type(PAGE)


def pages(block: HistoryBlock, artifact: Artifact, rules: ListRules, params: PlacementParameters) -> pa.Array:
    """Per shopper a list of (placement, about_item_id, items), in the order of `params.served`; null without served
    placements.

    Rules that exclude, order or cap items hold for each list; pins, shares and chance are for the list of column
    `items` alone. With `no_repeats` an item of one placement is in none of the following; of one that is left out,
    because it has fewer than `least_items`, others may have the items.
    """
    if not params.served:
        return pa.nulls(block.shoppers, PAGE_TYPE)
    request = PageRequest(
        block, artifact, rules.only_for_order(), params.length, params.visit_minutes,
        params.cart_days,
    )  # fmt: skip
    excluded = np.empty((block.shoppers, 0), dtype=np.int64)
    made: list[PlacedLists] = []
    for name in params.served:
        lists = PLACEMENTS[name].lists(request, excluded)
        is_shown = np.isfinite(lists.scores).sum(axis=1) >= params.least_items
        lists = lists._replace(scores=np.where(is_shown[:, None], lists.scores, np.float32(-np.inf)))
        made.append(lists)
        if params.no_repeats:
            taken = np.where(np.isfinite(lists.scores), lists.columns, NOTHING)
            excluded = np.concatenate([excluded, taken], axis=1)
    return _column(made, params.served, artifact.items)


def _column(made: list[PlacedLists], names: tuple[str, ...], items: pa.Array) -> pa.Array:
    """The lists as one Arrow column, by shopper, then by placement."""
    shoppers = len(made[0].about)
    shown = [np.isfinite(lists.scores) for lists in made]
    counts = np.stack([one.sum(axis=1) for one in shown], axis=1)
    shopper, number = np.nonzero(counts)
    owner = np.concatenate([np.nonzero(one)[0] for one in shown])
    placement = np.repeat(np.arange(len(made)), counts.sum(axis=0))
    order = pa.array(np.lexsort((placement, owner)))
    entries = pa.concat_arrays([_entries(lists, one, items) for lists, one in zip(made, shown, strict=True)])
    about = np.stack([lists.about for lists in made], axis=1)[shopper, number]
    of_placement = pa.StructArray.from_arrays(
        [
            pa.array(names, pa.string()).take(pa.array(number)),
            items.take(pa.array(about, mask=about == NOTHING)),
            pa.ListArray.from_arrays(_offsets(counts[shopper, number]), entries.take(order)),
        ],
        fields=list(PAGE_TYPE.value_type),
    )
    return pa.ListArray.from_arrays(_offsets(np.bincount(shopper, minlength=shoppers)), of_placement, type=PAGE_TYPE)


def _entries(lists: PlacedLists, shown: NDArray[np.bool_], items: pa.Array) -> pa.StructArray:
    positions = np.broadcast_to(np.arange(1, shown.shape[1] + 1, dtype=np.int32), shown.shape)
    return pa.StructArray.from_arrays(
        [
            pa.array(positions[shown]),
            items.take(pa.array(lists.columns[shown])),
            pa.array(lists.scores[shown].astype(np.float64)),
            lists.words.filter(pa.array(shown.ravel())),
        ],
        fields=list(PAGE_TYPE.value_type.field("items").type.value_type),
    )


def _offsets(lengths: NDArray[np.int64]) -> pa.Array:
    return pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
