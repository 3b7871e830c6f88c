"""The session of a stream of lists, the layout of its state, and a run over slices of earlier events."""

from pathlib import Path

from pyspark.errors import StreamingQueryException
from pyspark.sql import DataFrame, SparkSession

from freshet.core.errors import StateError
from freshet.runs.service_parameters import StreamParameters
from freshet.service.lifecycle.running import with_short_errors
from freshet.service.lists.history_events import STREAM_EVENT
from freshet.service.lists.history_store import LAYOUT
from freshet.service.lists.micro_batch import ListUpdates


def stream_session(spark: SparkSession, params: StreamParameters) -> SparkSession:
    """A separate session for a stream, so that its settings do not affect other work of the application."""
    session = spark.newSession()
    for name, value in _PLANNED_OFTEN.items():
        session.conf.set(name, value)
    if params.local_checkpoint:
        session.conf.set("spark.sql.streaming.checkpointFileManagerClass", _LOCAL_CHECKPOINT)
    return session


def state_layout(session: SparkSession) -> dict[str, str]:
    """What a stream's checkpoint looks like on disk: the layout of its store, and the release of Spark."""
    return {"state": LAYOUT, "spark": ".".join(session.version.split(".")[:2])}


def sliced_events(session: SparkSession, folder: Path) -> DataFrame:
    """A stream of STREAM_EVENT from the files of `write_slices`, one file per micro-batch in order of their times."""
    return session.readStream.schema(STREAM_EVENT).option("maxFilesPerTrigger", 1).parquet(str(folder))


def run_to_end(events: DataFrame, updates: ListUpdates, *, checkpoint: Path) -> None:
    """Feeds all rows that the stream `events` (STREAM_EVENT) has now to `updates`, resuming from the checkpoint.

    Raises the original error of a micro-batch, StateError when the query itself cannot continue.
    """
    writer = events.writeStream.option("checkpointLocation", str(checkpoint))
    query = writer.trigger(availableNow=True).foreachBatch(with_short_errors(updates)).start()
    try:
        query.awaitTermination()
    except StreamingQueryException as error:
        if updates.failure is not None:
            raise updates.failure from None
        raise StateError(
            "the stream stopped",
            where=str(checkpoint),
            found=str(error).splitlines()[0],
            do="Remove this folder to replay the live part from its start",
        ) from error
    finally:
        # When waiting was interrupted, by Ctrl-C for example, the query would otherwise keep running.
        query.stop()


_LOCAL_CHECKPOINT = "org.apache.spark.sql.execution.streaming.checkpointing.FileSystemBasedCheckpointFileManager"
"""0.23 instead of 0.40 s per micro-batch. It renames files without a guarantee that only one of two writers
succeeds: for local disks, where the job's lease excludes a second writer."""

_IDLE_RULES = (
    "execution.datasources.SchemaPruning", "execution.datasources.PruneFileSourcePartitions",
    "execution.datasources.PushVariantIntoScan", "catalyst.optimizer.FoldablePropagation",
    "catalyst.optimizer.NullDownPropagation", "catalyst.optimizer.OptimizeOneRowRelationSubquery",
    "catalyst.optimizer.OptimizeCsvJsonExprs", "catalyst.optimizer.OptimizeRand",
)  # fmt: skip
"""Optimisations that find nothing to do in the plan of a mapping, and look through all of it several times."""

_PLANNED_OFTEN = {
    # A micro-batch is planned anew and has few rows. No join or partitioned table in it profits from inferred filters:
    # for a filter over all checks of a mapping this inference took a tenth of the planning.
    "spark.sql.constraintPropagation.enabled": "false",
    # Planning took 43 ms with these rules, 37 ms without them.
    "spark.sql.optimizer.excludedRules": ",".join(f"org.apache.spark.sql.{rule}" for rule in _IDLE_RULES),
    # Expressions are interpreted. To generate the code of a mapping, only to find it compiled already, took 37 ms of
    # the 111 ms that follow the planning. At 1,000 rows that is still a gain; 20,000 rows take 15 % longer.
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
}
"""Options of a session whose plans are made as often as they run."""
