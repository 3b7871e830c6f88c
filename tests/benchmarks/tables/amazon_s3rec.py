"""Amazon Beauty and Toys in the files of S3-Rec: leave-one-out, full ranking without the user's other items.

The last item of a sequence is the test, the one before it the validation; the model is fitted on the rest alone and not
fitted again for the test. Many reviews share a day, and the files say neither day nor true order of such ties, so the
figure stands twice more: with the order of what comes before the held-out items unknown (the pessimistic one: nothing
of a history's order is left, whatever the day), and with the order of everything unknown. The latter holds out a random
item, which is another and an easier task than the last one; it bounds nothing. Both take the setting that file order
has chosen, but for the decay, which is 1.
"""

import time
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession
from scipy.sparse import csr_matrix

from freshet.models.items.next_items import NextItemParameters, next_item_weights
from tests.benchmarks.tables.judged import Split, interval, lists_of, metrics, weights_matrix
from tests.benchmarks.tables.spark_side import DATA, MEMORY_GB, threads
from tests.benchmarks.tables.trials import best, recorded

K, KEPT = 10, 500
QUICK_USERS = 4000
FIRST = NextItemParameters(decay=0.8, steps=50, reg_param=100.0, co_occurrence=0.3, count=KEPT, dense_items=20_000)
GRID = (FIRST, replace(FIRST, decay=0.7), replace(FIRST, co_occurrence=0.1), replace(FIRST, reg_param=60.0))
QUICK_GRID = (replace(FIRST, dense_items=1500),)
SEED = 0

Sequences = list[NDArray[np.int64]]


def amazon(spark: SparkSession, quick: bool, name: str) -> dict[str, Any]:
    """Figures of one set: file order with the setting that validation chose, then the two unknown orders."""
    sequences, ids = read_sequences(name)
    sequences = sequences[: QUICK_USERS if quick else None]
    fits = []
    for params in QUICK_GRID if quick else GRID:
        weights, seconds = _fitted(spark, [s[:-2] for s in sequences], ids, params)
        ndcg = metrics_of(sequences, 2, weights, params.decay)["ndcg"].mean()
        fits.append((recorded(name, "validation item, file order", params, "ndcg@10", float(ndcg)), weights, seconds))
    chosen = best([trial for trial, _, _ in fits])
    _, weights, seconds = next(fit for fit in fits if fit[0] is chosen)
    params = NextItemParameters(**chosen.setting)
    found = metrics_of(sequences, 1, weights, params.decay)
    low, high = interval(found["ndcg"])
    unknown = {} if quick else _unknown_orders(spark, sequences, ids, params)
    return {
        "model": "Freshet next-item model, closed form, Spark job",
        "row": [float(found["ndcg"].mean()), float(found["recall"].mean())],
        "ndcg_at_10": round(float(found["ndcg"].mean()), 4),
        "recall_at_10": round(float(found["recall"].mean()), 4),
        "ndcg_interval_users": [round(low, 4), round(high, 4)],
        **unknown,
        "fit_seconds": round(seconds, 1),
        "fit_seconds_each": [round(fit[2], 1) for fit in fits],
        "users": len(sequences),
        "items": len(ids),
        "trials": [chosen.id],
        "settings": [{key: chosen.setting[key] for key in ("decay", "reg_param", "co_occurrence", "count")}],
    }


def read_sequences(name: str) -> tuple[Sequences, list[str]]:
    """Item codes per user in file order, and the items' ids."""
    lists = pq.read_table(DATA / "amazon_s3rec" / f"{name}.parquet").column("items").combine_chunks()
    values, codes = np.unique(lists.flatten().to_numpy(), return_inverse=True)
    ends = np.cumsum(lists.value_lengths().to_numpy())
    return np.split(codes, ends[:-1]), [f"{value:06d}" for value in values]


def _fitted(
    spark: SparkSession, sequences: Sequences, ids: list[str], params: NextItemParameters
) -> tuple[csr_matrix, float]:
    frame = _frame(spark, sequences, ids)
    started = time.perf_counter()
    table = next_item_weights(frame, params, threads=threads(spark), memory_gb=MEMORY_GB)
    return weights_matrix(table, ids), time.perf_counter() - started


def _frame(spark: SparkSession, sequences: Sequences, ids: list[str]) -> DataFrame:
    lengths = [len(sequence) for sequence in sequences]
    user = np.repeat(np.arange(len(sequences)), lengths)
    position = np.arange(len(user)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    items = pa.array(ids, pa.string()).take(pa.array(np.concatenate(sequences)))
    return spark.createDataFrame(
        pa.table({"user_id": pa.array(user).cast(pa.string()), "item_id": items, "position": pa.array(position)})
    )


def metrics_of(
    sequences: Sequences, held_out: int, weights: csr_matrix, decay: float
) -> dict[str, NDArray[np.float64]]:
    """Metrics of the item that stands `held_out` places from the end, from all before it."""
    items = weights.shape[0]
    before = [sequence[:-held_out] for sequence in sequences]
    lengths = np.array([len(each) for each in before])
    rows, columns = np.repeat(np.arange(len(before)), lengths), np.concatenate(before)
    back = np.concatenate([np.arange(length)[::-1] for length in lengths])
    states = csr_matrix((np.float32(decay) ** back.astype(np.float32), (rows, columns)), shape=(len(before), items))
    truth = np.array([sequence[-held_out] for sequence in sequences])
    ones = np.ones(len(truth), dtype=np.float32)
    split = Split(states, csr_matrix((ones, (np.arange(len(truth)), truth)), shape=states.shape))
    return metrics(lists_of(states, weights, split, K), split)


def _unknown_orders(
    spark: SparkSession, sequences: Sequences, ids: list[str], params: NextItemParameters
) -> dict[str, float]:
    """NDCG@10 where order says nothing: a shuffled state must not fade, so its decay is 1."""
    unordered = replace(params, decay=1.0)
    rng = np.random.default_rng(SEED)
    shuffled = {
        "history": [np.concatenate([rng.permutation(s[:-2]), s[-2:]]) for s in sequences],
        "all": [rng.permutation(s) for s in sequences],
    }
    found = {}
    for what, order in shuffled.items():
        weights, _ = _fitted(spark, [s[:-2] for s in order], ids, unordered)
        ndcg = float(metrics_of(order, 1, weights, 1.0)["ndcg"].mean())
        found[f"ndcg_at_10_order_of_{what}_unknown"] = round(ndcg, 4)
    return found
