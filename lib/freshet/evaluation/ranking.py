"""Quality of lists: recall, precision, NDCG, MAP and hit rate of each shopper, and figures over all shoppers.

A row of `lists` is a shopper's list, a row of `truth` the items of the shopper's later target events. The per-shopper
table is kept and tested; means, intervals and paired differences are computed from it. All are Arrow tables in memory:
the caller limits the number of shoppers.
"""

import math
from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from freshet.core.errors import InputError
from freshet.evaluation.bootstrap import with_intervals

RANKING_METRICS = ("recall", "precision", "ndcg", "map", "hit")
"""Metrics of the per-shopper table, each from 0 to 1, higher is better."""

RECIPROCAL_RANK = "mrr"
"""A further metric of the table, where it is asked for: 1 / place of the first hit, 0 without one. Its mean is MRR."""

IDEAL_OF_TRUTH, IDEAL_OF_LIST = "truth", "list"
IDEALS = (IDEAL_OF_TRUTH, IDEAL_OF_LIST)
"""By what NDCG is divided: the DCG of the best list for the true items, or that of k hits, however few items are
true."""

Figures = list[dict[str, Any]]
"""Rows of (*by, metric, k, value, low, high, users)."""


def per_user(
    lists: pa.Table, truth: pa.Table, *, ks: Sequence[int], by: Sequence[str] = (), ideal: str = IDEAL_OF_TRUTH,
    with_reciprocal_rank: bool = False,
) -> pa.Table:  # fmt: skip
    """(*by, user_id, user_hash, k, recall, precision, ndcg, map, hit): a row per shopper of `truth` and k.

    `lists` is (*by, user_id, items list<string>), a row per shopper, best item first; `truth` is (user_id, user_hash,
    items list<string>), with the hash that the bootstrap draws by. `by` names text columns that distinguish the
    lists of several models or tasks; those that `truth` has too are join keys, so that each task can have its own
    truth.

    With T the distinct true items, and hits the entries among the first k that are in T:
    recall = hits / |T|; precision = hits / k; hit = 1 if there is a hit;
    ndcg = sum of 1 / log2(place + 1) over hits, divided by the same sum over places 1..min(k, |T|) (Järvelin and
    Kekäläinen 2002, gain 0 or 1); map = sum of the precision at the place of each hit / min(k, |T|). With `ideal`
    IDEAL_OF_LIST the divisor of ndcg is the sum over places 1..k. `with_reciprocal_rank` adds column RECIPROCAL_RANK.

    Edge cases: a shopper without a list, or with an empty or null one, has zeros in every list of `by` that occurs. A
    shopper with empty or null truth is left out. A list shorter than k counts as if it were filled with misses. An item
    that occurs twice counts at its first position only; the second one is a miss. Raises InputError for ks that are
    empty or below 1, or another ideal.
    """
    check_ks(ks)
    if ideal not in IDEALS:
        raise InputError("there is no such ideal", where="evaluation", expected=" or ".join(IDEALS), found=str(ideal))
    optional = (RECIPROCAL_RANK,) if with_reciprocal_rank else ()
    true = _TrueItems(truth)
    parts = []
    for model in groups_of(lists, by):
        shared = {name: value for name, value in model.items() if name in truth.column_names}
        judged = np.flatnonzero(equal_rows(truth, shared) & (true.counts > 0))
        of_shoppers = truth.select(["user_id", "user_hash"]).take(pa.array(judged))
        hits = _hits(lists.filter(pa.array(equal_rows(lists, model))), of_shoppers, judged, true, max(ks))
        own = {name: pa.repeat(value, len(judged)) for name, value in model.items()}
        for k in sorted(set(ks)):
            columns = {**own, **_columns(of_shoppers), "k": pa.repeat(pa.scalar(k, pa.int32()), len(judged))}
            figures = _figures_at(k, hits, true.counts[judged], ideal)
            parts.append(pa.table({**columns, **{name: figures[name] for name in (*RANKING_METRICS, *optional)}}))
    return pa.concat_tables(parts) if parts else _none_judged(by, optional)


class _TrueItems:
    """The true items of rows of `truth`: their codes, their number per row, and every pair of row and code as a key."""

    def __init__(self, truth: pa.Table) -> None:
        lists = truth.column("items").combine_chunks()
        rows, texts = pc.list_parent_indices(lists), pc.list_flatten(lists)
        known = texts.is_valid()
        encoded = texts.filter(known).dictionary_encode()
        self.texts, self.width = encoded.dictionary, max(1, len(encoded.dictionary))
        row = rows.filter(known).to_numpy(zero_copy_only=False).astype(np.int64)
        self.keys = np.unique(row * self.width + encoded.indices.to_numpy(zero_copy_only=False))
        self.counts = np.bincount(self.keys // self.width, minlength=truth.num_rows)


def _hits(
    lists: pa.Table, shoppers: pa.Table, rows: NDArray[np.int64], true: _TrueItems, longest: int
) -> NDArray[np.bool_]:
    """[shoppers, longest]: whether a position of the shopper's list is a hit; `rows`: the shoppers' rows in `truth`."""
    found = np.zeros((len(rows), longest), dtype=bool)
    own = pc.index_in(shoppers.column("user_id").combine_chunks(), value_set=lists.column("user_id").combine_chunks())
    shopper, place, texts = entries_of(lists.column("items").combine_chunks().take(own))
    code = pc.fill_null(pc.index_in(texts, value_set=true.texts), -1).to_numpy(zero_copy_only=False).astype(np.int64)
    # An item that is no shopper's true item is always a miss.
    candidate = np.flatnonzero((code >= 0) & (place < longest))
    keys, first = np.unique(rows[shopper[candidate]] * true.width + code[candidate], return_index=True)
    hit = candidate[first[np.isin(keys, true.keys, assume_unique=True)]]
    found[shopper[hit], place[hit]] = True
    return found


def entries_of(lists: pa.ListArray) -> tuple[NDArray[np.int64], NDArray[np.int64], pa.Array]:
    """Of all entries of lists, one list after the other: its list, its place from 0, and its value. A null list is
    empty."""
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    row = np.repeat(np.arange(len(lengths)), lengths)
    place = np.arange(len(row)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return row, place, pc.list_flatten(lists)


def _figures_at(k: int, hits: NDArray[np.bool_], true_counts: NDArray[np.int64], ideal: str) -> dict[str, pa.Array]:
    """The metrics at k of each row."""
    near = hits[:, :k].astype(np.float64)
    places = np.arange(1, near.shape[1] + 1)
    so_far = near.cumsum(axis=1)
    count = near.sum(axis=1)
    reachable = np.minimum(k, true_counts)
    best = np.cumsum([1.0 / math.log2(place + 1) for place in range(1, k + 1)])
    divisor = best[reachable - 1] if ideal == IDEAL_OF_TRUTH else best[-1]
    values = {
        "recall": count / true_counts,
        "precision": count / k,
        "ndcg": (near / np.log2(places + 1)).cumsum(axis=1)[:, -1] / divisor,
        "map": (near * so_far / places).cumsum(axis=1)[:, -1] / reachable,
        "hit": (count > 0).astype(np.float64),
        RECIPROCAL_RANK: (near / places).max(axis=1),
    }
    return {name: pa.array(value) for name, value in values.items()}


def groups_of(table: pa.Table, by: Sequence[str]) -> list[dict[str, Any]]:
    """The different values of these columns; one group without columns."""
    return table.select(list(by)).group_by(list(by)).aggregate([]).to_pylist() if by else [{}]


def equal_rows(table: pa.Table, values: dict[str, Any]) -> NDArray[np.bool_]:
    """The mask of rows with these values."""
    masks = [pc.equal(table.column(name), value).to_numpy() for name, value in values.items()]
    return reduce(np.logical_and, masks, np.ones(table.num_rows, dtype=bool))


def _columns(table: pa.Table) -> dict[str, pa.ChunkedArray]:
    return dict(zip(table.column_names, table.columns, strict=True))


def _metrics_of(judged: pa.Table) -> list[str]:
    return [name for name in (*RANKING_METRICS, RECIPROCAL_RANK) if name in judged.column_names]


def _none_judged(by: Sequence[str], optional: Sequence[str]) -> pa.Table:
    texts = dict.fromkeys([*by, "user_id"], pa.string())
    metrics = dict.fromkeys([*RANKING_METRICS, *optional], pa.float64())
    types = {**texts, "user_hash": pa.int64(), "k": pa.int32(), **metrics}
    return pa.schema(list(types.items())).empty_table()


def coverage(lists: pa.Table, *, k: int, catalogue_size: int, by: Sequence[str] = ()) -> Figures:
    """The share (0 to 1) of the catalogue in the first k of any list.

    `users` counts the shoppers with a list, low and high are null. Empty `lists` give no row. Raises InputError for k
    or a catalogue_size below 1.
    """
    check_ks([k])
    if catalogue_size < 1:
        raise InputError("there is no catalogue to cover", where="coverage", found=f"catalogue_size {catalogue_size}")
    figures = []
    for model in (
        lists.select(["user_id", *by]).group_by(list(by)).aggregate([("user_id", "count_distinct")]).to_pylist()
    ):
        users = model.pop("user_id_count_distinct")
        mine = lists.filter(pa.array(equal_rows(lists, model))).column("items")
        covered = pc.count_distinct(pc.list_flatten(pc.list_slice(mine, 0, k))).as_py()
        known = {"metric": "coverage", "k": k, "value": covered / catalogue_size, "low": None, "high": None}
        figures.append({**model, **known, "users": users})
    return figures


def summary(judged: pa.Table, *, samples: int, by: Sequence[str] = ()) -> Figures:
    """The mean of each metric over shoppers with its 95 % interval, by `by`, metric and k.

    `judged` is a result of `per_user`. The interval is a percentile bootstrap over shoppers of `samples` draws; see
    `with_intervals`. Empty input gives no figures.
    """
    same = [*by, "user_hash", "k"]
    long = [
        judged.select(same)
        .append_column("metric", pa.repeat(name, judged.num_rows))
        .append_column("value", judged[name])
        for name in _metrics_of(judged)
    ]
    return with_intervals(pa.concat_tables(long), by=[*by, "metric", "k"], samples=samples)


def paired_difference(
    a: pa.Table, b: pa.Table, *, metric: str, k: int, samples: int, by: Sequence[str] = ()
) -> Figures:
    """The mean of a minus b at k over shoppers evaluated in both, with interval.

    a and b are results of `per_user`. The interval is that of the difference of each shopper, hence much narrower
    than those of the two means. `by` names further columns of b (for example task, model); those that a has too are
    join keys, so that one challenger can be compared with several others at once. Without common shoppers there is no
    row. Raises InputError for a metric that does not exist.
    """
    if metric not in (known := _metrics_of(a)):
        raise InputError("there is no such metric", where="gate", expected=", ".join(known), found=metric)
    shared = [name for name in by if name in a.column_names]
    mine = (
        a.filter(pc.field("k") == k).select([*shared, "user_id", metric]).rename_columns([*shared, "user_id", "mine"])
    )
    other = b.filter(pc.field("k") == k).select([*by, "user_id", "user_hash", metric])
    both = other.join(mine, keys=[*shared, "user_id"], join_type="inner")
    values = both.select([*by, "user_hash"]).append_column("value", pc.subtract(both["mine"], both[metric]))
    figures = with_intervals(values, by=list(by), samples=samples)
    return [{**figure, "metric": metric, "k": k} for figure in figures]


def evaluation_rows(
    figures: Figures,
    *,
    run_id: str,
    split: str,
    protocol: str | None = None,
    task: str | None = None,
    model: str | None = None,
) -> Figures:
    """Rows of `evaluation_results`. `task` and `model` None mean that `figures` have these columns themselves."""
    named = {name: value for name, value in (("task", task), ("model", model)) if value is not None}
    return [{**figure, **named, "run_id": run_id, "split": split, "protocol": protocol} for figure in figures]


def check_ks(ks: Sequence[int]) -> None:
    """Raises InputError for ks that are empty or below 1."""
    if not ks or min(ks) < 1:
        raise InputError("lists are judged at k of 1 or more", where="evaluation", found=f"ks {list(ks)}")
