"""Next clicks of Diginetica's sessions in the split of the SR-GNN paper: 186,670 sessions train, 60,858 prefixes are
judged by P@20 (the hit rate) and MRR@20.

Everything is chosen on the newest sessions of the training part, from the sessions before them; no session of the test
part is known to any model. The whole way is that of `freshet.lab`.
"""

import time
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

from freshet.lab import NEXT_BASKETS, FitLimits, Interactions, Split, fit, given_split, judge
from tests.benchmarks.tables.spark_side import DATA
from tests.benchmarks.tasks import cores

K, NEWEST, JUDGED, SEED = 20, 0.1, 5_000, 1
MODELS: dict[str, Any] = {
    "neighbours": {"half_life_days": None, "count": 200},
    "next_items": None,
    "linear_items": None,
    "user_neighbours": {"half_life_days": None, "per_item": 1000, "count": 200, "shoppers": 200_000},
}
LIMITS = FitLimits(50_000, 12.0, cores())


def diginetica(_: SparkSession, quick: bool) -> dict[str, Any]:
    """P@20 and MRR@20 on the test prefixes, of the blend and of item-kNN alone, and the weights of the blend."""
    started = time.perf_counter()
    sessions = pq.read_table(DATA / "diginetica" / "all_train_seq.parquet")
    if quick:
        sessions = sessions.slice(sessions.num_rows - 20_000)
    older = int(len(sessions) * (1 - NEWEST))
    validation = _validation(sessions.slice(0, older), sessions.slice(older))
    weights = fit(validation, MODELS, limits=LIMITS).searched(validation, k=K).weights(NEXT_BASKETS)
    split = _test(sessions, pq.read_table(DATA / "diginetica" / "test.parquet"))
    blend = fit(split, MODELS, limits=LIMITS)
    made = {"blend": blend.with_weights(weights), "neighbours": blend.with_weights({"neighbours": 1.0})}
    judged = judge({name: one.lists(split, k=K) for name, one in made.items()}, split, ks=K)
    found: dict[str, Any] = {}
    for name in made:
        for metric, label in (("hit", "p_at_20"), ("mrr", "mrr_at_20")):
            found[f"{name} {label}"] = round(judged.value(metric, model=name), 4)
    return {
        "model": "Freshet blend",
        "row": [100 * judged.value("hit", model="blend"), 100 * judged.value("mrr", model="blend")],
        **found, "weights": weights, "cases": len(split.cases), "seconds": round(time.perf_counter() - started),
    }  # fmt: skip


def _clicks(sessions: pa.Table, names: pa.Array) -> Interactions:
    """A row per click: sessions follow each other by a day, the clicks of a session by a minute, as no times are
    given."""
    lists = sessions.column("items").combine_chunks()
    row, lengths = pc.list_parent_indices(lists).to_numpy(), pc.list_value_length(lists).to_numpy()
    place = np.arange(len(row)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return Interactions.of({
        "user_id": names.take(pa.array(row)), "item_id": lists.flatten(), "time": 60 * row.astype(np.int64) + place,
    })  # fmt: skip


def _names(kind: str, count: int) -> pa.Array:
    return pa.array([f"{kind}{n}" for n in range(count)])


def _validation(older: pa.Table, newer: pa.Table) -> Split:
    """The last click of some of the newer sessions, from those before it; the older sessions train."""
    chosen = np.sort(np.random.default_rng(SEED).choice(len(newer), min(JUDGED, len(newer)), replace=False))
    lists = newer.column("items").combine_chunks().take(pa.array(chosen))
    rng = np.random.default_rng(SEED)
    # A click of the session, drawn evenly, as the test part has all of them.
    at = [int(rng.integers(1, len(items))) for items in lists.to_pylist()]
    prefixes = pa.table({
        "items": pa.array([items[:n] for items, n in zip(lists.to_pylist(), at, strict=True)]),
        "target": pa.array([items[n] for items, n in zip(lists.to_pylist(), at, strict=True)]),
    })  # fmt: skip
    return _test(older, prefixes)


def _test(sessions: pa.Table, prefixes: pa.Table) -> Split:
    train, names = _clicks(sessions, _names("s", len(sessions))), _names("t", len(prefixes))
    truth = Interactions.of({"user_id": names, "item_id": prefixes.column("target"), "time": np.zeros(len(names), int)})
    return given_split(train, truth, history=_clicks(prefixes, names), policy=NEXT_BASKETS, clock=train.as_of)
