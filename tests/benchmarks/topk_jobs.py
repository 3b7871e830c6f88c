"""Lists of all users as whole Spark jobs, from what is on disk to a Delta table: ours, and MLlib's."""

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.ml.recommendation import ALSModel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType
from scipy.sparse import csr_matrix

from freshet.contracts.shoppers import HISTORY
from freshet.models.factors.factorisation import Factors
from freshet.ranking.artifact import Artifact
from freshet.ranking.lists.shopper_lists import listing
from freshet.ranking.recipe import Recipe
from freshet.service.compaction.list_table import newer_stream_lists, write_lists
from freshet.tables.format.kept_rows import Keeper, KeptRows
from freshet.tables.warehouse import Warehouse
from tests.benchmarks.als import bench_session
from tests.benchmarks.foldin import GOWALLA_PARAMS
from tests.benchmarks.tables.gowalla_data import ITEMS, USERS, gowalla_data

LENGTH, POLICY = 20, "new_items"
CLOCK = datetime(2026, 1, 1)
FACTS = {"generated_at": CLOCK, "event_clock": CLOCK, "generation": 1, "model_version": "1.0", "source": "batch"}
_TENTH = 10
"""Of every so many shoppers one is in the run that warms up, of both sides."""


def whole_jobs(trained: Factors, users: int, pairs: int) -> dict[str, Any]:
    """mllib_over_ours_rank*: the lowest ratio of seconds over alternating pairs, after a run of each for a tenth of the
    shoppers."""
    rank = trained.items.shape[1]
    spark = bench_session("freshet-bench-topk")
    try:
        with tempfile.TemporaryDirectory(prefix="freshet-topk-") as folder:
            root = Path(folder)
            ours, mllib = _jobs(spark, root, trained, users)
            found = [(_timed(ours), _timed(mllib)) for _ in range(pairs)]
    finally:
        spark.stop()
    ratios = [theirs / own for own, theirs in found]
    own, theirs = np.median(np.array(found), axis=0)
    return {
        f"mllib_over_ours_rank{rank}": round(min(ratios), 2),
        f"mllib_over_ours_rank{rank}_median": round(float(np.median(ratios)), 2),
        f"our_job_seconds_rank{rank}": round(float(own), 2),
        f"mllib_job_seconds_rank{rank}": round(float(theirs), 2),
    }


def _timed(job: Callable[[], object]) -> float:
    started = time.perf_counter()
    job()
    return time.perf_counter() - started


def _jobs(spark: SparkSession, root: Path, trained: Factors, users: int) -> tuple[Callable[[], object], ...]:
    """Both jobs, run once for a tenth of the users, up to the table, so that compilers of both sides are warm."""
    items, vectors = trained.items, trained.users[np.arange(users) % len(trained.users)]
    factors_alone(items).save(root / "artifact")
    _histories(spark, gowalla_data().published_train, users).write.parquet(str(root / "histories"))
    histories = KeptRows(
        spark, root / "histories", StructType.fromDDL(f"user_id string, history {HISTORY.simpleString()}")
    )
    tenth = Keeper(root / "kept").kept(histories.frame.where(F.pmod(F.xxhash64("user_id"), F.lit(_TENTH)) == 0))
    factors = [_factors(spark, values, root / name) for name, values in (("users", vectors), ("items", items))]
    warehouse = Warehouse(spark, root / "warehouse")

    def ours(known: KeptRows = histories) -> None:
        newer = newer_stream_lists(warehouse, generation=1, clock=CLOCK)
        work = listing(artifact=root / "artifact", clock=CLOCK, length=LENGTH, policy=POLICY)
        write_lists(warehouse, known, work, FACTS, newer=newer, active_since=CLOCK)

    package = spark.sparkContext._jvm.org.apache.spark.ml.recommendation
    made = package.ALSModel("als", items.shape[1], *(frame._jdf for frame in factors))
    # Only a fit gives it the names of its columns.
    model = ALSModel(made.setUserCol("user").setItemCol("item"))
    few = factors[0].where(F.col("id") % _TENTH == 0).select(F.col("id").alias("user"))

    def mllib(made: Callable[[], DataFrame] = lambda: model.recommendForAllUsers(LENGTH)) -> None:
        made().write.format("delta").mode("overwrite").save(str(root / "mllib"))

    ours(tenth)
    mllib(lambda: model.recommendForUserSubset(few, LENGTH))
    return ours, mllib


def factors_alone(factors: NDArray[np.float32]) -> Artifact:
    """An artifact of item vectors alone."""
    weights = {"factors": 1.0}
    return Artifact(
        recipe=Recipe(
            target="purchase", event_weights={"purchase": 1.0}, als=replace(GOWALLA_PARAMS, rank=factors.shape[1]),
            item_half_life_days=None, item_min_strength=0.0, user_half_life_days=None, user_min_strength=0.0,
            item_models={}, sparse_terms={},
            weights={"next_baskets": weights, POLICY: weights},
        ),
        items=pa.array([_item(n) for n in range(len(factors))]), factors=factors, item_weights={}, terms={},
    )  # fmt: skip


def _item(number: int) -> str:
    return f"i{number:06d}"


def _histories(spark: SparkSession, pairs: csr_matrix, users: int) -> DataFrame:
    """(user_id, history): Gowalla's users again and again, their items as purchases of one moment."""
    ends, columns = pairs.indptr, pairs.indices

    def drawn(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        names = np.array([_item(n) for n in range(ITEMS)])
        for batch in batches:
            numbers = batch.column(0).to_numpy()
            mine = [columns[ends[n] : ends[n + 1]] for n in numbers % USERS]
            flat = np.concatenate(mine)
            moments = pa.array(np.full(len(flat), np.datetime64("2025-12-01", "us")), pa.timestamp("us", tz="UTC"))
            entries = pa.StructArray.from_arrays(
                [moments, pa.array(np.arange(len(flat))), pa.array(names[flat]), pa.repeat("purchase", len(flat)),
                 pa.nulls(len(flat), pa.string())],
                ["event_time", "entry_key", "item_id", "event_name", "order_id"],
            )  # fmt: skip
            offsets = pa.array(np.concatenate([[0], np.cumsum([len(one) for one in mine])]).astype(np.int32))
            users_of = pa.array([f"u{n:07d}" for n in numbers])
            histories = pa.ListArray.from_arrays(offsets, entries)
            yield pa.RecordBatch.from_arrays([users_of, histories], ["user_id", "history"])

    return spark.range(0, users, 1, 8).mapInArrow(drawn, f"user_id string, history {HISTORY.simpleString()}")


def _factors(spark: SparkSession, values: NDArray[np.float32], folder: Path) -> DataFrame:
    """(id, features) as MLlib keeps its factors, in Spark's memory."""
    flat = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1]).cast(pa.list_(pa.float32()))
    table = pa.table({"id": pa.array(np.arange(len(values), dtype=np.int32)), "features": flat})
    spark.createDataFrame(table).repartition(10).write.parquet(str(folder))
    frame = spark.read.parquet(str(folder)).persist()
    frame.count()
    return frame
