"""Work on all validation cases, in one Spark task per policy."""

from collections.abc import Callable, Iterator

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from freshet.contracts.policies import POLICIES

Work = Callable[[str, Iterator[pa.RecordBatch]], str]
"""From a policy and the cases, as Arrow batches in the order of user_id, to a text."""


def by_policy(cases: DataFrame, work: Work) -> dict[str, str]:
    """The text by policy; without cases there is none. Only these texts leave the tasks."""
    policies = list(POLICIES)

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        filled = [batch for batch in batches if batch.num_rows]
        if not filled:
            return
        policy = policies[filled[0].column("policy")[0].as_py()]
        yield pa.RecordBatch.from_pydict({"policy": [policy], "found": [work(policy, iter(filled))]})

    twice = cases.withColumn("policy", F.explode(F.array(*[F.lit(number) for number in range(len(policies))])))
    # Partitioned by number, not by hash: each policy has a partition of its own, and both run in parallel.
    by_task = twice.repartitionById(len(policies), F.col("policy"))
    # Sorted, so that means over shoppers are equal to the last bit, in whatever order the rows arrived.
    found = by_task.sortWithinPartitions("user_id").mapInArrow(run, "policy string, found string")
    return {row["policy"]: row["found"] for row in found.collect()}
