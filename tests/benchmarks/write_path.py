"""What it costs to write a micro-batch of lists: as the stream does, by a plain Spark append, by MERGE."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from freshet.contracts import RECOMMENDATION_UPDATES
from freshet.core.session import local_session
from freshet.runs.settings import load_settings
from freshet.tables.maintenance import operations
from freshet.tables.small_writes import append_arrow
from freshet.tables.warehouse import Warehouse
from tests.benchmarks.tasks import cores

SHOPPERS, QUICK_SHOPPERS = 1_000_000, 20_000
LISTS, LENGTH = 1000, 20
WEAR, QUICK_WEAR = 300, 10
MERGE_WEAR = 0.1
"""Of the wear, the share that MERGE gets: it would take half an hour. Less wear makes it look quicker, not us."""
ROUNDS, QUICK_ROUNDS = 7, 3

Write = Callable[[DataFrame], None]


def write_path(quick: bool) -> dict[str, Any]:
    """ratio_to_append and ratio_to_merge_dv: medians over rounds in which all three write the same 1,000 lists.

    Each has a table of its own with a list of every shopper, worn by earlier micro-batches. The lists lie in Spark's
    memory before the clock starts. Ours has the packing of small files in it, at its share of each micro-batch.
    """
    shoppers, wear, rounds = (QUICK_SHOPPERS, QUICK_WEAR, QUICK_ROUNDS) if quick else (SHOPPERS, WEAR, ROUNDS)
    with tempfile.TemporaryDirectory(prefix="freshet-write-") as folder:
        spark = local_session("freshet-write", f"local[{cores()}]", scratch=Path(folder) / "scratch")
        try:
            writes = _arms(spark, Path(folder), shoppers)
            packing = _worn(spark, Path(folder), writes, shoppers, wear)
            seconds = np.array([_round(spark, writes, shoppers, wear + n) for n in range(rounds)])
        finally:
            spark.stop()
    ours, append, merge = seconds.T
    ours = ours + packing
    return {
        "ratio_to_append": round(float(np.median(ours / append)), 3),
        "ratio_to_append_highest": round(float((ours / append).max()), 3),
        "ratio_to_merge_dv": round(float(np.median(ours / merge)), 3),
        "ratio_to_merge_dv_highest": round(float((ours / merge).max()), 3),
        "ours_s": round(float(np.median(ours)), 4),
        "packing_s": round(packing, 4),
        "append_s": round(float(np.median(append)), 3),
        "merge_dv_s": round(float(np.median(merge)), 3),
        "shoppers": shoppers,
        "wear": wear,
        "wear_of_merge": round(wear * MERGE_WEAR),
        "rounds": rounds,
    }


def _arms(spark: SparkSession, folder: Path, shoppers: int) -> dict[str, Write]:
    """The three ways to write, each with its table full of lists."""
    warehouse = Warehouse(spark, folder / "ours")
    warehouse.create(RECOMMENDATION_UPDATES)
    full = _lists(spark.range(shoppers), batch=0)
    warehouse.append(full, RECOMMENDATION_UPDATES)
    append, merge = str(folder / "append"), str(folder / "merge")
    full.write.format("delta").save(append)
    # In as many files as the product's table of lists has: 20,000 lists each.
    ranged = full.repartitionByRange(max(1, shoppers // 20_000), "user_id")
    ranged.write.format("delta").option("delta.enableDeletionVectors", "true").save(merge)

    def merged(rows: DataFrame) -> None:
        rows.createOrReplaceTempView("fresh")
        spark.sql(
            f"MERGE INTO delta.`{merge}` AS old USING fresh ON old.user_id = fresh.user_id "
            "WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *"
        ).collect()

    return {
        "ours": lambda rows: _nothing(append_arrow(warehouse, rows.toArrow(), RECOMMENDATION_UPDATES)),
        "append": lambda rows: rows.write.format("delta").mode("append").save(append),
        "merge": merged,
    }


def _nothing(_: int) -> None: ...


def _worn(spark: SparkSession, folder: Path, writes: dict[str, Write], shoppers: int, wear: int) -> float:
    """Earlier micro-batches in every table; the seconds of packing that each of ours brings with it."""
    settings = load_settings().compaction
    warehouse, packing = Warehouse(spark, folder / "ours"), []
    for batch in range(1, wear):
        rows = _kept(spark, shoppers, batch)
        for name, write in writes.items():
            if name != "merge" or batch <= wear * MERGE_WEAR:
                write(rows)
        rows.unpersist()
        if batch % settings.pack_from_files == 0:
            started = time.perf_counter()
            operations.pack(
                warehouse, RECOMMENDATION_UPDATES, target_mb=settings.pack_mb, from_files=settings.pack_from_files
            )
            packing.append(time.perf_counter() - started)
    return float(np.mean(packing)) / settings.pack_from_files if packing else 0.0


def _round(spark: SparkSession, writes: dict[str, Write], shoppers: int, batch: int) -> list[float]:
    rows = _kept(spark, shoppers, batch)
    seconds = []
    for write in writes.values():
        started = time.perf_counter()
        write(rows)
        seconds.append(time.perf_counter() - started)
    rows.unpersist()
    return seconds


def _kept(spark: SparkSession, shoppers: int, batch: int) -> DataFrame:
    """Lists of 1,000 shoppers in all parts of the table, in memory."""
    picked = spark.range(0, shoppers, shoppers // LISTS, numPartitions=cores()).limit(LISTS)
    rows = _lists(picked.select((F.col("id") + batch % (shoppers // LISTS)).alias("id")), batch=batch).persist()
    rows.count()
    return rows


def _lists(ids: DataFrame, *, batch: int) -> DataFrame:
    """Rows of recommendation_updates for shoppers by number."""
    entry = F.transform(
        F.sequence(F.lit(1), F.lit(LENGTH)),
        lambda place: F.struct(
            place.cast("int").alias("position"),
            F.format_string("i%05d", F.pmod(F.xxhash64("id", place, F.lit(batch)), F.lit(60_000))).alias("item_id"),
            (F.lit(10.0) - place + F.pmod(F.xxhash64("id", place), F.lit(1000)) / 1000).alias("score"),
            F.lit("taste").alias("reason"),
        ),
    )
    moment = F.timestamp_seconds(F.lit(1_700_000_000 + batch))
    return ids.select(
        F.format_string("u%07d", "id").alias("user_id"), F.lit("q").alias("query_id"),
        F.lit(batch).cast("bigint").alias("batch_id"), moment.alias("generated_at"), moment.alias("event_clock"),
        F.lit(1).cast("bigint").alias("generation"), F.lit("1.0").alias("model_version"),
        F.lit("stream").alias("source"), entry.alias("items"), moment.alias("caused_by_event_time"),
        moment.alias("caused_by_received_time"), F.lit(0).cast("bigint").alias("epoch"),
    )  # fmt: skip
