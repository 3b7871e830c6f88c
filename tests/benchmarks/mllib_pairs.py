"""Fits of ours and of MLlib in turn, on the same cached frame of dense vectors."""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
from pyspark.ml.functions import array_to_vector
from pyspark.sql import DataFrame

from freshet.core.session import local_session
from tests.benchmarks.tasks import cores

COLUMNS = 64
_GROUPS = 80
"""Overlapping groups that rows are drawn from: more than a KMeans of 50 can tell, as in real features."""

Model = TypeVar("Model")


class Pair(NamedTuple):
    """Seconds of one fit each, and how much higher our objective is, as a share of MLlib's."""

    ours: float
    mllib: float
    excess: float


@contextmanager
def dense_rows(rows: int) -> Iterator[DataFrame]:
    """(features, label) in as many partitions as cores, cached in a session of its own."""

    def drawn(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        known = np.random.default_rng(0)
        middles, slopes = known.normal(0, 0.8, (_GROUPS, COLUMNS)), known.normal(0, 0.2, COLUMNS)
        for batch in batches:
            number = batch.num_rows
            random = np.random.default_rng(int(batch.column(0)[0].as_py()))
            values = middles[random.integers(0, _GROUPS, number)] + random.standard_normal((number, COLUMNS))
            label = random.random(number) < 1 / (1 + np.exp(0.5 - values @ slopes))
            held = pa.ListArray.from_arrays(np.arange(0, values.size + 1, COLUMNS, dtype=np.int32), values.ravel())
            yield pa.RecordBatch.from_arrays([held, pa.array(label.astype(float))], names=["values", "label"])

    with tempfile.TemporaryDirectory(prefix="freshet-bench-") as folder:
        session = local_session("freshet-bench", f"local[{cores()}]", scratch=Path(folder))
        try:
            made = session.range(0, rows, 1, cores()).mapInArrow(drawn, "values array<double>, label double")
            frame = made.select(array_to_vector("values").alias("features"), "label").persist()
            frame.count()
            yield frame
        finally:
            session.stop()


def side_by_side(
    ours: Callable[[], Model], mllib: Callable[[], Model], objective: Callable[[Model], float], *, pairs: int
) -> dict[str, Any]:
    """mllib_over_ours: the lowest ratio of MLlib's seconds to ours over `pairs`, after one fit of each to warm up.

    Each pair is judged by the `objective` of both models, outside the time.
    """
    ours(), mllib()
    found = [_pair(ours, mllib, objective) for _ in range(pairs)]
    ratios = [pair.mllib / pair.ours for pair in found]
    return {
        "mllib_over_ours": round(min(ratios), 2),
        "mllib_over_ours_median": round(float(np.median(ratios)), 2),
        "ours_seconds": round(float(np.median([pair.ours for pair in found])), 3),
        "mllib_seconds": round(float(np.median([pair.mllib for pair in found])), 3),
        "objective_excess": float(f"{max(pair.excess for pair in found):.3g}"),
        "pairs": pairs,
        "seconds": [[round(pair.ours, 3), round(pair.mllib, 3)] for pair in found],
    }


def _pair(ours: Callable[[], Model], mllib: Callable[[], Model], objective: Callable[[Model], float]) -> Pair:
    started = time.perf_counter()
    own = ours()
    between = time.perf_counter()
    other = mllib()
    ended = time.perf_counter()
    known = objective(other)
    return Pair(between - started, ended - between, objective(own) / known - 1)
