"""Peak memory of a training of 20 million interactions at rank 128, in a process of its own, Spark included."""

import subprocess
import sys
from typing import Any

from pyspark.sql import functions as F

from freshet.models.factors.parameters import AlsParameters
from tests.benchmarks.memory import watched

INTERACTIONS, USERS, ITEMS, RANK, ITERATIONS = 20_000_000, 1_000_000, 100_000, 128, 2
QUICK_SHARE = 40


def als_memory(quick: bool) -> dict[str, Any]:
    """peak_rss_gb, peak_pss_gb of the whole process tree (see memory.Peak), on synthetic interactions."""
    share = QUICK_SHARE if quick else 1
    process = subprocess.Popen([sys.executable, "-m", "tests.benchmarks.als_memory", str(share)], stdout=sys.stderr)
    peak = watched(process)
    if process.returncode != 0:
        raise SystemExit(f"the training ended with code {process.returncode}")
    return {
        "peak_rss_gb": round(peak.rss, 2),
        "peak_pss_gb": round(peak.pss, 2),
        "interactions": INTERACTIONS // share,
        "rank": RANK,
    }


def _train(share: int) -> None:
    from tests.benchmarks.als import bench_session
    from tests.benchmarks.tables.gowalla import native

    spark = bench_session("freshet-bench-als-memory")
    number = F.xxhash64("id")
    frame = spark.range(INTERACTIONS // share, numPartitions=8).select(
        F.pmod(number, F.lit(USERS // share)).cast("string").alias("user_id"),
        # The square of a uniform number: some items are had far more often than others.
        (F.pow(F.rand(1), 2) * (ITEMS // share)).cast("int").cast("string").alias("item_id"),
        F.lit(0).cast("timestamp").alias("first_time"),
        F.lit(1.0).alias("strength"),
    )
    fitted = native(spark).fit(frame, AlsParameters(RANK, ITERATIONS, 0.1, 1.0, 1), with_users=True)
    assert fitted.users is not None
    fitted.users.write.format("noop").mode("overwrite").save()
    print(f"{fitted.users.count():,} users, {fitted.items.num_rows:,} items")
    spark.stop()


if __name__ == "__main__":
    _train(int(sys.argv[1]))
