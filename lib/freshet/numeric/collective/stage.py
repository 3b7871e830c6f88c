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
"""What each task does with the rows of its partition; the results of all tasks must be the same."""

_RESULT = StructType().add("name", StringType()).add("shape", StringType()).add("numbers", BinaryType())


def over_partitions(rows: DataFrame, work: Work) -> dict[str, Floats]:
    """What `work` returned, having run in one task for each partition of `rows` (all tasks at the same time).

    A task holds its partition in memory. With more partitions than the cluster has room for tasks, rows are spread
    again over as many as there is room for; where executors come and go (dynamic allocation), for which Spark has no
    stage of tasks that run together, one task holds all. A frame without partitions gives work no chance: the result
    is empty. Runs one Spark job. To count its partitions `rows` is planned, and what it shuffles is run, once more: a
    frame with shuffles should be cached. An error of `work` fails the job.
    """
    session = rows.sparkSession
    room = _room_for_tasks(session)
    partitions = int(rows._jdf.queryExecution().toRdd().getNumPartitions())
    together = min(partitions, room) > 1
    fitting = rows if partitions <= room else rows.repartition(room)
    spread = fitting if together else rows.coalesce(1)
    # One entry each: a SparkConf brings all of its entries over, one by one.
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
                # Nobody leaves before all are done: who leaves ends the round of the others.
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


def _room_for_tasks(session: SparkSession) -> int:
    """How many tasks can run at the same time."""
    if session.conf.get("spark.dynamicAllocation.enabled", "false") == "true":
        return 1
    context = session.sparkContext._jsc.sc()
    return max(1, int(context.maxNumConcurrentTasks(context.resourceProfileManager().defaultResourceProfile())))
