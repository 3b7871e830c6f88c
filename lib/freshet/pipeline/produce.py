"""The accepted events of a source as messages, ordered by time, for `freshet produce`."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from freshet.cleaning.judging import accepted, judged, repeated_records
from freshet.cleaning.parameters import CleaningParameters
from freshet.cleaning.parsing import PLACE
from freshet.contracts import EVENTS
from freshet.contracts.shoppers import shopper_id
from freshet.core.errors import InputError
from freshet.pipeline.ingestion.ingest import mapped_files
from freshet.pipeline.ingestion.source_records import source_records
from freshet.sources.kafka.sending import Message

LEFT_OUT = ("flags", "schema_version", "source", "source_partition", "source_offset")
"""Columns of events that the receiver sets itself."""

_JSON = {"timestampFormat": "yyyy-MM-dd'T'HH:mm:ss.SSSSSS'Z'", "ignoreNullFields": "true"}


def write_messages(
    spark: SparkSession,
    folder: Path,
    *,
    source: Path,
    input_path: Path,
    params: CleaningParameters,
    now: datetime,
    limit: int | None,
    received_later: bool,
) -> None:
    """Writes the accepted events (the first `limit` of them) as messages into a new folder, sorted by event_time.

    A message is the JSON object of an event without its null columns; its key is the shopper. With `received_later`
    it has no received_time, which `stamped` adds. Raises MappingError and InputError if mapping and files do not match,
    and InputError if no record can be accepted.
    """
    mapping, files = mapped_files(source, input_path)
    read = source_records(spark, input_path, mapping, files).narrowed(mapping, now=now, params=params)
    events = accepted(judged(read, mapping, repeats=repeated_records(read, mapping), stored=None), mapping)
    ordered = events.orderBy("event_time", *PLACE)
    messages = _messages(ordered if limit is None else ordered.limit(limit), received_later)
    messages.write.parquet(str(folder.absolute()))
    if not count_messages(folder):
        raise InputError(
            "none of the records can be accepted", where=str(input_path),
            do=f"`freshet ingest --source {source} --input {input_path}` shows the reasons",
        )  # fmt: skip


def _messages(events: DataFrame, received_later: bool) -> DataFrame:
    left_out = {*LEFT_OUT, "received_time"} if received_later else set(LEFT_OUT)
    sent = [F.col(name) for name in EVENTS.column_names if name not in left_out]
    return events.select(
        F.unix_micros("event_time").alias("micros"),
        F.encode(shopper_id(), "UTF-8").alias("key"),
        F.encode(F.to_json(F.struct(*sent), _JSON), "UTF-8").alias("value"),
    )


def count_messages(folder: Path) -> int:
    """The number of messages that `write_messages` wrote."""
    return sum(pq.read_metadata(file).num_rows for file in _files(folder))


def written_messages(folder: Path) -> Iterator[Message]:
    """The messages that `write_messages` wrote, in order; a few thousand of them in memory at a time."""
    first: int | None = None
    for file in _files(folder):
        with pq.ParquetFile(file) as opened:
            for batch in opened.iter_batches(batch_size=10_000):
                for micros, key, value in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                    first = micros if first is None else first
                    yield Message((micros - first) / 1e6, key, value)


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("part-*.parquet"))


def stamped(value: bytes) -> bytes:
    """The message with the current time as its received_time."""
    now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return value[:-1] + b',"received_time":"' + now.encode() + b'"}'
