"""The session of a stream of lists, the layout of its state, and a run over slices of past events."""

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
    """A session of its own for a stream, so that its settings touch no other work of the same application."""
    session = spark.newSession()
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
    """Feeds all that the stream `events` (STREAM_EVENT) has now to `updates`, going on where the checkpoint
    stands.

    Raises what went wrong in a micro-batch as it was, StateError when the query itself cannot go on.
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
            do="Remove this folder to replay the live part from its beginning",
        ) from error
    finally:
        # Where waiting was broken off, from the keyboard for example, the query would go on behind our back.
        query.stop()


_LOCAL_CHECKPOINT = "org.apache.spark.sql.execution.streaming.checkpointing.FileSystemBasedCheckpointFileManager"
"""0.23 instead of 0.40 s per micro-batch. It renames without the file system's promise that two writers cannot both
succeed: for local disks, where the job's lease keeps a second writer away."""
