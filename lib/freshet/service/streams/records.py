"""Streams of raw records: source columns as texts, with the record's place, its text and its arrival.

Every stream has the columns that its mapping names and CARRIED: `raw` (the whole record as text, cut where it is too
large), `arrived` (when it reached the broker or file system, never after the micro-batch's start), `began` (the
micro-batch's own time, the same when it is repeated) and `too_large`.
"""

from pathlib import Path

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from freshet.contracts.inputs import IS_LARGE, RAW_TEXT
from freshet.sources.json_lines import is_record, json_records, line_text

CARRIED = ("raw", "arrived", "began", "too_large")

_WRONG_BYTE = "\ufffd"

_CONSUMER = {
    # A consumer requests the records after those it has read in advance. While there are none, the broker holds back
    # its answer, for 500 ms by Kafka's own default, and Spark's next request on that connection waits for it. At one
    # event a second each micro-batch took 0.55 s. The job that reads one record takes 46 ms with 20 ms here, and 33 ms
    # with 5 or 1. This causes more requests only during micro-batches: between them Spark's consumers send none.
    "kafka.fetch.max.wait.ms": "5",
}
"""Options of Spark's Kafka source, unless the caller sets them."""


def kafka_records(
    session: SparkSession, columns: StructType, *, topic: str, offsets: str, most_per_trigger: int,
    options: dict[str, str],
) -> DataFrame:  # fmt: skip
    """Records of a topic, each value a JSON object with `columns` (json_columns).

    source_partition is `topic-partition`, source_offset the offset.

    `offsets` is where a new query starts: earliest, or JSON as Spark's `startingOffsets` takes it. `options` are those
    of Spark's Kafka source (`kafka.bootstrap.servers` among them) and override those set here. Lost records stop the
    stream instead of being skipped.
    """
    reader = session.readStream.format("kafka").options(**{**_CONSUMER, **options}).option("subscribe", topic)
    reader = reader.option("startingOffsets", offsets).option("maxOffsetsPerTrigger", most_per_trigger)
    # A consumer group named by Spark would need extra rights on a secured broker.
    read = reader.option("failOnDataLoss", "true").load()
    return _json_records(
        read.select(
            F.make_valid_utf8(F.col("value").cast("string")).alias("text"),
            (~F.is_valid_utf8(F.col("value").cast("string"))).alias("damaged"),
            F.concat_ws("-", "topic", F.col("partition").cast("string")).alias("source_partition"),
            F.col("offset").alias("source_offset"),
            F.col("timestamp").alias("written"),
        ),
        columns,
    )


def kept_records(refused: DataFrame, columns: StructType) -> DataFrame:
    """`kafka_records` of QUARANTINE rows. A text with the replacement character of an invalid byte counts as
    damaged."""
    return _json_records(
        refused.select(
            F.col("raw").alias("text"), F.contains("raw", F.lit(_WRONG_BYTE)).alias("damaged"),
            "source_partition", "source_offset", F.col("first_seen").alias("written"),
        ),
        columns,
    )  # fmt: skip


def file_records(session: SparkSession, columns: StructType, *, folder: Path, files_per_trigger: int) -> DataFrame:
    """`kafka_records` of a folder into which files of JSON lines are moved whole.

    source_partition is the file's name, source_offset the line's number from 0.

    Files whose names start with a dot or an underscore are ignored. Empty lines are no records.
    """
    reader = session.readStream.format("text").option("wholetext", "true")
    read = reader.option("maxFilesPerTrigger", files_per_trigger).load(str(folder))
    files = read.select(
        F.split("value", "\n").alias("lines"),
        # Splitting puts the replacement character in place of an invalid byte.
        (~F.is_valid_utf8("value")).alias("damaged_file"),
        F.substring_index("_metadata.file_path", "/", -1).alias("source_partition"),
        F.col("_metadata.file_modification_time").alias("written"),
    )
    # Checked for the whole file before it is split: otherwise its text would be carried along with each line.
    lines = files.select(F.posexplode("lines").alias("line", "text"), "damaged_file", "source_partition", "written")
    return _json_records(
        lines.withColumn("text", line_text(F.col("text")))
        .where(is_record(F.col("text")))
        .select(
            "text",
            (F.col("damaged_file") & F.contains("text", F.lit(_WRONG_BYTE))).alias("damaged"),
            "source_partition",
            F.col("line").cast("bigint").alias("source_offset"),
            "written",
        ),
        columns,
    )


def _json_records(values: DataFrame, schema: StructType) -> DataFrame:
    """Parsed JSON objects of (text, damaged, source_partition, source_offset, written)."""
    began = micro_batch_moment()
    timed = values.select(
        "text", "damaged", "source_partition", "source_offset",
        F.least("written", began).alias("_arrived"), began.alias("_began"),
    )  # fmt: skip
    parsed = json_records(timed, schema)
    carried = (RAW_TEXT, "_arrived", "_began", IS_LARGE)
    return parsed.select(
        *[F.col(f"`{field.name}`") for field in schema], "source_partition", "source_offset",
        *[F.col(name).alias(alias) for name, alias in zip(carried, CARRIED, strict=True)],
    )  # fmt: skip


def micro_batch_moment() -> Column:
    """The micro-batch's time as Spark logs it with the offsets: repeated after a crash, it is the same."""
    # Used directly it would be a constant in the generated code, which would be compiled again, and run cold, in every
    # micro-batch.
    return F.get(F.transform(F.array(F.current_timestamp()), lambda moment: moment), F.lit(0))
