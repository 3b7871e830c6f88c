"""Which items lists show: the exposure of groups of items against their purchases, and popularity against taste."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from freshet.evaluation.audits.groups import UNKNOWN
from freshet.evaluation.ranking import Figures, check_ks, entries_of, equal_rows, groups_of

EXPOSURE, MERIT, EXPOSURE_RATIO = "exposure_share", "purchase_share", "exposure_ratio"
"""Figures of a group of items."""

POPULARITY_LIFT = "popularity_lift"
"""A figure of all lists together."""


def exposure_by_group(
    lists: pa.Table, purchases: pa.Table, groups: pa.Table, *, ks: Sequence[int], by: Sequence[str] = ()
) -> Figures:
    """Rows (*by, group, metric, k, value, low, high, users) for each group of items, also one that nobody sees or buys.

    `lists` is (*by, user_id, items list<string>), `purchases` (item_id, purchases), `groups` (item_id, group), a row
    per item in both; an item without a group is in group UNKNOWN. Let the exposure of a group be its share of the
    places 1..k of all lists, every place counting the same, and its merit its share of all purchases:

    exposure_share and purchase_share: both, from 0 to 1. exposure_ratio: the one divided by the other, 1 where items
    are shown as often as they are bought, null without a purchase (exposure over merit, as in the disparate treatment
    of Singh and Joachims 2018, there with the merit of each query).

    `users` counts the lists that show an item; low and high are null. No rows for lists that show nothing. Raises
    InputError for ks that are empty or below 1.
    """
    check_ks(ks)
    group_of = dict(zip(groups.column("item_id").to_pylist(), groups.column("group").to_pylist(), strict=True))
    merit: dict[str, float] = {}
    for item, count in zip(*(purchases.column(name).to_pylist() for name in ("item_id", "purchases")), strict=True):
        name = group_of.get(item) or UNKNOWN
        merit[name] = merit.get(name, 0.0) + count
    bought, named = sum(merit.values()), {name for name in group_of.values() if name}
    figures: Figures = []
    for model in groups_of(lists, by):
        row, place, texts = entries_of(_items(lists.filter(pa.array(equal_rows(lists, model)))))
        for k in sorted(set(ks)):
            near = place < k
            shown = _places_by_group(texts.filter(pa.array(near)), group_of)
            places, users = sum(shown.values()), len(np.unique(row[near]))
            for name in sorted({*shown, *merit, *named}) if places else []:
                share = shown.get(name, 0) / places
                own = merit.get(name, 0.0) / bought if bought else 0.0
                values = {EXPOSURE: share, MERIT: own, EXPOSURE_RATIO: share / own if own else None}
                figures += [_figure({**model, "group": name}, m, k, value, users) for m, value in values.items()]
    return figures


def _places_by_group(texts: pa.Array, group_of: dict[str, str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for entry in pc.value_counts(texts).to_pylist():
        name = group_of.get(entry["values"]) or UNKNOWN
        found[name] = found.get(name, 0) + entry["counts"]
    return found


def popularity_lift(
    lists: pa.Table, histories: pa.Table, popularity: pa.Table, *, ks: Sequence[int], by: Sequence[str] = ()
) -> Figures:
    """Rows (*by, metric, k, value, low, high, users): how much more popular lists are than what their shoppers took.

    `histories` is (user_id, items list<string>), a row per shopper, `popularity` (item_id, popularity), with 0 for all
    other items. With the mean popularity of a list's first k items, and that of the items of the same shopper's
    history, each averaged over shoppers who have both: the first minus the second, divided by the second (the change
    of group average popularity, Abdollahpouri et al. 2019). 0: as popular as their taste; 1: twice as popular; no row
    where histories have no popularity. Raises InputError for ks that are empty or below 1.
    """
    check_ks(ks)
    figures: Figures = []
    taste = _mean_popularity(_items(histories), popularity, None)
    for model in groups_of(lists, by):
        mine = lists.filter(pa.array(equal_rows(lists, model)))
        own = pc.index_in(mine.column("user_id"), value_set=histories.column("user_id").combine_chunks())
        place = pc.fill_null(own, -1).to_numpy().astype(np.int64)
        of_shoppers = np.where(place >= 0, np.append(taste, np.nan)[place], np.nan)
        for k in sorted(set(ks)):
            shown = _mean_popularity(_items(mine), popularity, k)
            both = np.isfinite(shown) & np.isfinite(of_shoppers)
            before = float(of_shoppers[both].mean()) if both.any() else 0.0
            if before > 0:
                lift = float(shown[both].mean()) / before - 1.0
                figures.append(_figure(model, POPULARITY_LIFT, k, lift, int(both.sum())))
    return figures


def _mean_popularity(lists: pa.Array, popularity: pa.Table, k: int | None) -> NDArray[np.float64]:
    """[lists] The mean popularity of the first k items, of all for None; NaN for a list without items."""
    row, place, texts = entries_of(lists)
    known = pc.index_in(texts, value_set=popularity.column("item_id").combine_chunks())
    of_items = popularity.column("popularity").combine_chunks().cast(pa.float64())
    value = pc.fill_null(of_items.take(known), 0.0).to_numpy(zero_copy_only=False)
    near = place < k if k is not None else np.ones(len(place), dtype=bool)
    with np.errstate(invalid="ignore"):
        sums = np.bincount(row[near], value[near], len(lists))
        return np.asarray(sums / np.bincount(row[near], minlength=len(lists)))


def _items(lists: pa.Table) -> pa.Array:
    return lists.column("items").combine_chunks()


def _figure(keys: dict[str, Any], metric: str, k: int, value: float | None, users: int) -> dict[str, Any]:
    return {**keys, "metric": metric, "k": k, "value": value, "low": None, "high": None, "users": users}
