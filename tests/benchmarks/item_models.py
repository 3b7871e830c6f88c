"""The item-to-item models on a catalogue that no dense solution fits, and what their approximation costs."""

import resource
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from freshet.models.items.linear_items import LinearItemParameters, linear_item_matrix
from freshet.models.items.next_items import NextItemParameters, next_item_matrix, transitions
from freshet.numeric.coded_rows import CodedRows
from freshet.numeric.damped_gram import needed_bytes
from tests.benchmarks.tables.amazon_s3rec import FIRST, metrics_of, read_sequences
from tests.benchmarks.tasks import cores, side_by_side

ITEMS, SHOPPERS, EACH, DENSE, KEPT = 60_000, 200_000, 10, 8_000, 200
QUICK_ITEMS, QUICK_SHOPPERS, QUICK_DENSE = 6_000, 20_000, 800
HEADS, QUICK_HEADS = (2_000, 4_000, 8_000, 20_000), (500, 1_000)


def item_models(quick: bool) -> dict[str, Any]:
    """Seconds, estimated and measured peak memory at 60,000 items, each model in a process of its own; and NDCG@10 on
    Beauty's validation items by the number of items that are solved exactly (20,000: all 12,101 of them)."""
    size = (QUICK_ITEMS, QUICK_SHOPPERS, QUICK_DENSE) if quick else (ITEMS, SHOPPERS, DENSE)
    found: dict[str, Any] = {"items": size[0], "shoppers": size[1], "rows": size[1] * EACH, "dense_items": size[2]}
    for model in ("next_items", "linear_items"):
        seconds, estimate, peak = side_by_side(_large, [(model, *size)])[0]
        found |= {f"{model}_s": round(seconds, 1), f"{model}_estimated_gb": round(estimate, 2)}
        found[f"{model}_peak_gb"] = round(peak, 2)
    for head in QUICK_HEADS if quick else HEADS:
        found[f"beauty_ndcg_{head}_dense"], found[f"beauty_s_{head}_dense"] = _beauty(head, 2000 if quick else None)
    return found


def _large(model: str, items: int, shoppers: int, dense: int) -> tuple[float, float, float]:
    """(seconds, estimated GB, peak GB) of a fit on shoppers who take items by a long-tailed popularity."""
    rng = np.random.default_rng(0)
    popularity = 1.0 / np.arange(10, items + 10)
    item = rng.choice(items, size=shoppers * EACH, p=popularity / popularity.sum())
    user, position = np.divmod(np.arange(shoppers * EACH), EACH)
    ids = pa.array([f"{n:06d}" for n in range(items)])
    rows = CodedRows(user, item, position.astype(np.float64), shoppers, ids)
    started = time.perf_counter()
    with threadpool_limits(limits=cores(), user_api="blas"):
        if model == "next_items":
            params = NextItemParameters(0.8, 20, 100.0, 0.3, KEPT, dense)
            states = transitions(rows, decay=params.decay, steps=params.steps)
            needed = needed_bytes(states.states, dense_items=dense, sides=items * KEPT)
            next_item_matrix(states, params)
        else:
            strengths = rows.matrix()
            needed = needed_bytes(strengths, dense_items=dense, sides=items * KEPT)
            linear_item_matrix(strengths, LinearItemParameters(100.0, KEPT, dense))
    seconds = time.perf_counter() - started
    return seconds, needed / 1e9, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def _beauty(head: int, users: int | None) -> tuple[float, float]:
    sequences, ids = read_sequences("Beauty")
    sequences = sequences[:users]
    train = [sequence[:-2] for sequence in sequences]
    lengths = np.array([len(sequence) for sequence in train])
    user = np.repeat(np.arange(len(train)), lengths)
    position = np.arange(len(user)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    rows = CodedRows(user, np.concatenate(train), position.astype(np.float64), len(train), pa.array(ids))
    params = replace(FIRST, dense_items=head)
    started = time.perf_counter()
    weights: csr_matrix = next_item_matrix(transitions(rows, decay=params.decay, steps=params.steps), params)
    seconds = time.perf_counter() - started
    ndcg = metrics_of(sequences, 2, weights.T.tocsr(), params.decay)["ndcg"].mean()
    return round(float(ndcg), 4), round(seconds, 1)
