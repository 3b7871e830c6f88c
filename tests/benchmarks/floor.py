"""The least a micro-batch costs: source to empty foreachBatch to commit, with the stream's own settings."""

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from pyspark.sql import DataFrame, SparkSession

from freshet.core.session import local_session
from freshet.runs.settings import load_settings
from freshet.service.lifecycle.running import with_short_errors
from freshet.service.lists.query import stream_session
from tests.benchmarks.tasks import cores

BATCHES, QUICK_BATCHES = 500, 100
WARM_UP = 50
ROWS = 1000
PAIRS = 2
_STOCK_WRITER = "org.apache.spark.sql.execution.streaming.checkpointing.FileContextBasedCheckpointFileManager"


def floor(quick: bool) -> dict[str, Any]:
    """p50_ms and p99_ms of whole micro-batches of the product's settings, and of Spark's own checkpoint writer.

    Both in turns in one session. 1,000 rows a micro-batch from a source that can be replayed, one micro-batch after
    the other; the batch function consumes its frame. `parts_ms` are the medians of Spark's own account.
    """
    batches = QUICK_BATCHES if quick else BATCHES
    with tempfile.TemporaryDirectory(prefix="freshet-floor-") as folder:
        spark = local_session("freshet-floor", f"local[{cores()}]", scratch=Path(folder) / "scratch")
        try:
            runs: dict[str, list[_Run]] = {"ours": [], "stock": []}
            for turn in range(1 if quick else PAIRS):
                for name, kept in runs.items():
                    checkpoint = Path(folder) / f"{name}-{turn}"
                    kept.append(_measured(spark, checkpoint, batches // PAIRS, stock=name == "stock"))
        finally:
            spark.stop()
    ours, stock = (_Run.joined(each) for each in runs.values())
    return {
        "p50_ms": ours.percentile(50),
        "p99_ms": ours.percentile(99),
        "p50_ms_stock_writer": stock.percentile(50),
        "processes_started_per_batch": ours.processes,
        "processes_started_per_batch_stock_writer": stock.processes,
        "batches": len(ours.milliseconds),
        "parts_ms": ours.parts,
    }


class _Run:
    def __init__(self, progress: list[dict[str, Any]], processes: float) -> None:
        self.progress, self.processes = progress, processes
        self.milliseconds = [one["durationMs"]["triggerExecution"] for one in progress]

    @staticmethod
    def joined(runs: "list[_Run]") -> "_Run":
        processes = sum(run.processes for run in runs) / len(runs)
        return _Run([one for run in runs for one in run.progress], round(processes, 1))

    def percentile(self, percent: int) -> float:
        return round(float(np.percentile(self.milliseconds, percent)), 1)

    @property
    def parts(self) -> dict[str, float]:
        names = sorted({name for one in self.progress for name in one["durationMs"]})
        return {name: float(np.median([one["durationMs"].get(name, 0) for one in self.progress])) for name in names}


def _measured(spark: SparkSession, checkpoint: Path, batches: int, *, stock: bool) -> _Run:
    session = stream_session(spark, load_settings().stream)
    if stock:
        session.conf.set("spark.sql.streaming.checkpointFileManagerClass", _STOCK_WRITER)
    # Spark remembers the last 100 only.
    session.conf.set("spark.sql.streaming.numRecentProgressUpdates", str(WARM_UP + batches + 100))
    rows = session.readStream.format("rate-micro-batch").option("rowsPerBatch", ROWS).load()
    writer = rows.writeStream.option("checkpointLocation", str(checkpoint)).foreachBatch(with_short_errors(_consumed))
    query = writer.trigger(processingTime="0 seconds").start()
    try:
        _wait(query, WARM_UP)
        before = _processes_started()
        _wait(query, WARM_UP + batches)
        processes = (_processes_started() - before) / batches
    finally:
        query.stop()
    return _Run([one for one in query.recentProgress if WARM_UP <= one["batchId"] < WARM_UP + batches], processes)


def _consumed(rows: DataFrame, _: int) -> None:
    rows.write.format("noop").mode("overwrite").save()


def _wait(query: Any, batch: int) -> None:
    while query.lastProgress is None or query.lastProgress["batchId"] < batch:
        if query.exception() is not None:
            raise query.exception()
        time.sleep(0.05)


def _processes_started() -> int:
    """Since the machine's start, by whomever: beside other work the figure per micro-batch is too high."""
    lines = Path("/proc/stat").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("processes"))
