"""What lists show apart from hits: how different their items are, how little known, how popular, and how evenly all
items are shown.

Items are compared by who took them, so that a shop needs no categories for it. Arrow tables in memory: the caller
limits the number of lists, and of the shoppers by whom items are compared.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from freshet.evaluation.bootstrap import with_intervals
from freshet.evaluation.ranking import Figures, check_ks, entries_of, equal_rows, groups_of
from freshet.numeric.compiled import compiled

DIVERSITY, NOVELTY, POPULARITY = "diversity", "novelty", "popularity"
"""Properties of a list."""

EXPOSURE_GINI = "exposure_gini"
"""A property of all lists together."""


class Takers(NamedTuple):
    """The shoppers who took each item: `items`, their ids; `places` [pairs]: the shoppers of item n, in rising order,
    at ends[n]:ends[n + 1]; `shoppers`: how many shoppers there are."""

    items: pa.Array
    ends: NDArray[np.int64]
    places: NDArray[np.int64]
    shoppers: int


def takers(taken: pa.Table) -> Takers:
    """The takers of all items of (user_id, item_id), rows of which may repeat. Rows with a null are left out."""
    known = taken.select(["user_id", "item_id"]).drop_null()
    users, items = (known.column(name).combine_chunks().dictionary_encode() for name in known.column_names)
    shoppers = len(users.dictionary)
    user, item = (codes.indices.to_numpy(zero_copy_only=False).astype(np.int64) for codes in (users, items))
    pairs = np.unique(item * max(1, shoppers) + user)
    counts = np.bincount(pairs // max(1, shoppers), minlength=len(items.dictionary))
    return Takers(items.dictionary, np.concatenate([[0], np.cumsum(counts)]), pairs % max(1, shoppers), shoppers)


def list_properties(
    lists: pa.Table, shoppers: pa.Table, known: Takers, *, ks: Sequence[int], samples: int, by: Sequence[str] = ()
) -> Figures:
    """Means over shoppers with 95 % intervals, by `by`, metric and k, and the evenness of exposure by `by` and k.

    `lists` is (*by, user_id, items list<string>) as for `per_user`; `shoppers` (user_id, user_hash): those that count,
    and for which group if it also has columns of `by`.
    Let S be the number of shoppers in `known`, and n of them took an item. For the first k items of a list:

    diversity: 1 minus the mean cosine of all pairs of items, |both took them| / sqrt(n_i n_j), 0 if nobody took one of
    them; from 0 to 1 (intra-list diversity, Ziegler et al. 2005). Null for lists of fewer than two items.
    novelty: the mean of log2((S + 1) / (n + 1)), in bits (self-information, Zhou et al. 2010); 0 if everybody took all.
    popularity: the mean of n / S, from 0 to 1.
    exposure_gini: over the items of `known` and all others that are listed, the Gini coefficient of how often each is
    listed: 0 if all are shown equally often, near 1 if only few are shown. Without an interval.

    Empty and null lists have none of these. An item that occurs twice in a list counts twice. Raises InputError for ks
    that are empty or below 1.
    """
    check_ks(ks)
    # A join of Arrow tables does not carry lists: their rows are joined instead.
    numbered = lists.drop_columns("items").append_column("row", pa.array(np.arange(lists.num_rows)))
    shared = ["user_id", *(name for name in by if name in shoppers.column_names)]
    found = numbered.join(shoppers.select([*shared, "user_hash"]), keys=shared, join_type="inner").sort_by("row")
    counted = found.append_column("items", lists.column("items").take(found.column("row")))
    own = _Entries(counted, known, max(ks))
    values, evenness = [], []
    names = [*by, "user_hash"]
    for k in sorted(set(ks)):
        for metric, of_lists in own.properties(k).items():
            table = counted.select(names).append_column("k", pa.repeat(pa.scalar(k, pa.int32()), counted.num_rows))
            table = table.append_column("metric", pa.repeat(metric, counted.num_rows))
            values.append(table.append_column("value", pa.array(of_lists, from_pandas=True)))
        evenness += _exposure(counted, own, k, by)
    figures = with_intervals(pa.concat_tables(values), by=[*by, "metric", "k"], samples=samples)
    return [*figures, *evenness]


class _Entries:
    """The first items of lists as numbers: `item` of Takers.items, or above these for items that nobody took."""

    def __init__(self, lists: pa.Table, known: Takers, longest: int) -> None:
        row, place, texts = entries_of(lists.column("items").combine_chunks())
        near = place < longest
        distinct = pc.unique(texts.filter(pa.array(near)))
        every = pa.concat_arrays([known.items, distinct.filter(pc.invert(pc.is_in(distinct, value_set=known.items)))])
        self.rows, self.items = lists.num_rows, len(every)
        self.row, self.place = row[near], place[near]
        codes = pc.index_in(texts.filter(pa.array(near)), value_set=every)
        self.item = codes.to_numpy(zero_copy_only=False).astype(np.int64)
        counts = np.zeros(len(every))
        counts[: len(known.items)] = np.diff(known.ends)
        self._novelty = np.log2((known.shoppers + 1) / (counts + 1))
        self._share = counts / max(1, known.shoppers)
        self._first, self._second, self._cosine = self._pairs(known, counts)

    def _pairs(
        self, known: Takers, counts: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """All pairs of entries of a list, as indices of entries, and the cosine of each."""
        starts = np.searchsorted(self.row, np.arange(self.rows + 1))
        lengths = np.diff(starts)
        first, second = [], []
        for gap in range(1, int(lengths.max(initial=0))):
            left = np.flatnonzero(self.place + gap < lengths[self.row])
            first.append(left)
            second.append(left + gap)
        nothing = [np.empty(0, np.int64)]
        one, other = np.concatenate([*nothing, *first]), np.concatenate([*nothing, *second])
        # Most lists share their pairs with others: each is compared once.
        low, high = np.minimum(self.item[one], self.item[other]), np.maximum(self.item[one], self.item[other])
        keys, place = np.unique(low * self.items + high, return_inverse=True)
        left, right = np.divmod(keys, max(1, self.items))
        common = np.zeros(len(keys))
        comparable = right < len(known.items)
        common[comparable] = _common(known.ends, known.places, left[comparable], right[comparable])
        cosine = common / np.sqrt(np.maximum(1.0, counts[left] * counts[right]))
        return one, other, cosine[place]

    def properties(self, k: int) -> dict[str, NDArray[np.float64]]:
        """[lists] by name, of the first k items; NaN where a list has none."""
        near = self.place < k
        row, item = self.row[near], self.item[near]
        counts = np.bincount(row, minlength=self.rows)
        inside = self.place[self._second] < k
        pairs = self.row[self._first[inside]]
        pair_counts = np.bincount(pairs, minlength=self.rows)
        with np.errstate(invalid="ignore"):
            return {
                DIVERSITY: 1.0 - np.bincount(pairs, self._cosine[inside], self.rows) / pair_counts,
                NOVELTY: np.bincount(row, self._novelty[item], self.rows) / counts,
                POPULARITY: np.bincount(row, self._share[item], self.rows) / counts,
            }

    def shown(self, chosen: NDArray[np.bool_], k: int) -> NDArray[np.int64]:
        """[items]: how often each is among the first k of the chosen lists."""
        mine = chosen[self.row] & (self.place < k)
        return np.bincount(self.item[mine], minlength=self.items)


def _exposure(lists: pa.Table, own: _Entries, k: int, by: Sequence[str]) -> Figures:
    """The Gini coefficient of each group of lists that shows an item."""
    figures = []
    for group in groups_of(lists, by):
        chosen = equal_rows(lists, group)
        shown = np.sort(own.shown(chosen, k))
        if shown.sum():
            places = np.arange(1, len(shown) + 1)
            gini = float((2 * places - len(shown) - 1) @ shown / (len(shown) * shown.sum()))
            known = {"metric": EXPOSURE_GINI, "k": k, "value": gini, "low": None, "high": None}
            figures.append({**group, **known, "users": int(chosen.sum())})
    return figures


@compiled
def _common(
    ends: NDArray[np.int64], places: NDArray[np.int64], left: NDArray[np.int64], right: NDArray[np.int64]
) -> NDArray[np.int64]:
    """For each pair of items the number of shoppers that both have."""
    found = np.zeros(len(left), dtype=np.int64)
    for pair in range(len(left)):
        one, other = ends[left[pair]], ends[right[pair]]
        while one < ends[left[pair] + 1] and other < ends[right[pair] + 1]:
            if places[one] == places[other]:
                found[pair] += 1
            step = places[one] <= places[other]
            if places[other] <= places[one]:
                other += 1
            if step:
                one += 1
    return found
