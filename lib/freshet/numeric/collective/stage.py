"""Runs work that needs all partitions at once as one Spark stage."""

import json
from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
from pyspark import BarrierTaskContext, TaskContext
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import BinaryType, StringType, StructType

from freshet.numeric.collective.hub import Hub
from freshet.numeric.collective.peers import Alone, Floats, Peers

Work = Callable[[Iterator[pa.RecordBatch], Peers], dict[str, Floats]]
"""The work of each task on the rows of its partition; the results of all tasks must be equal."""

_RESULT = StructType().add("name", StringType()).add("shape", StringType()).add("numbers", BinaryType())


def over_partitions(rows: DataFrame, work: Work) -> dict[str, Floats]:
    """The result of `work`, which runs in one task for each partition of `rows` (all tasks at the same time).

    A task holds its partition in memory. With more partitions than the cluster has slots for tasks, rows are
    repartitioned to the number of slots. With dynamic allocation, for which Spark has no barrier stages, one task holds
    all rows. For a frame without partitions `work` does not run and the result is empty. Runs one Spark job. Counting
    the partitions plans `rows` and runs its shuffles once more, so a frame with shuffles should be cached. An error of
    `work` fails the job.
    """
    session = rows.sparkSession
    slots = _task_slots(session)
    partitions = int(rows._jdf.queryExecution().toRdd().getNumPartitions())
    together = min(partitions, slots) > 1
    fitting = rows if partitions <= slots else rows.repartition(slots)
    spread = fitting if together else rows.coalesce(1)
    # Single entries: a SparkConf would copy all of its entries from the JVM, one by one.
    host = session.conf.get("spark.driver.host")
    assert host is not None  # Spark sets it when it starts
    with Hub(bind=session.conf.get("spark.driver.bindAddress", host) or host, advertise=host) as hub:
        meeting = hub.meeting

        def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            context = TaskContext.get()
            if not isinstance(context, BarrierTaskContext):
                yield _packed(work(batches, Alone()))
                return
            peers = meeting.joined(context.partitionId(), len(context.getTaskInfos()))
            try:
                made = work(batches, peers)
                # All tasks finish together: a task that leaves early would end the round of the others.
                peers.sum(np.zeros(1))
            finally:
                peers.close()
            if peers.rank == 0:
                yield _packed(made)

        packed = spread.mapInArrow(run, _RESULT, barrier=together).collect()
    return {row["name"]: np.frombuffer(row["numbers"]).reshape(json.loads(row["shape"])) for row in packed}


def _packed(arrays: dict[str, Floats]) -> pa.RecordBatch:
    rows = [
        {"name": name, "shape": json.dumps(np.shape(values)), "numbers": np.asarray(values, np.float64).tobytes()}
        for name, values in arrays.items()
    ]
    return pa.RecordBatch.from_pylist(rows, schema=to_arrow_schema(_RESULT))


def _task_slots(session: SparkSession) -> int:
    """The number of tasks that can run at the same time."""
    if session.conf.get("spark.dynamicAllocation.enabled", "false") == "true":
        return 1
    context = session.sparkContext._jsc.sc()
    return max(1, int(context.maxNumConcurrentTasks(context.resourceProfileManager().defaultResourceProfile())))
