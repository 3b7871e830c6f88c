"""A shop's own Delta table as a stream of raw records: what is appended to it, commit by commit.

A record has the place that ingesting the table as a file gives it (storage.inputs). So a table whose log no longer has
its beginning is ingested once, and streamed from there.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote, urlparse

from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType

from freshet.cleaning.parsing import PLACE
from freshet.cleaning.rules import SourceMapping
from freshet.cleaning.source_columns import check_mapping
from freshet.errors import InputError, StateError
from freshet.storage.inputs import partition_column, spark_paths
from freshet.streaming.records import CARRIED, MOST_RECORD_CHARACTERS, SHOWN_CHARACTERS, micro_batch_moment
from freshet.streaming.running import MicroBatches

_FILE, _BLOCK, _ORDER = "_freshet_file", "_freshet_block", "_freshet_order"

_COMMIT = StructType([StructField("add", StructType([StructField("path", StringType())]))])

_FILES_READ_AGAIN = 1000
"""At least so many of the newest files are looked at again, also where a micro-batch had more files than it has now."""


def table_rows(
    session: SparkSession,
    mapping: SourceMapping,
    *,
    table: Path,
    first_version: int,
    files_per_trigger: int,
    skip_changes: bool,
) -> DataFrame:
    """Rows of the files that commits from `first_version` on have added, as `placed_records` wants them.

    Commits that only lay rows out anew (OPTIMIZE) add none. One that changes or deletes rows ends the stream, or is
    passed over whole where `skip_changes` says so. Raises MappingError and InputError where the columns do not fit.
    """
    reader = session.readStream.format("delta").option("startingVersion", first_version)
    reader = reader.option("maxFilesPerTrigger", files_per_trigger)
    read = reader.option("skipChangeCommits", str(skip_changes).lower()).load(str(table.absolute()))
    check_mapping(mapping, read.schema, str(table))
    taken = {*PLACE, *CARRIED} & {name.lower() for name in read.columns}
    if taken:
        raise InputError(f"the table has a column {', '.join(sorted(taken))}", where=str(table), do="Rename it")
    columns = [F.col(f"`{name}`") for name in read.columns]
    whole = F.to_json(F.struct(*columns))
    is_large = F.length(whole) > MOST_RECORD_CHARACTERS
    return read.select(
        *columns,
        F.input_file_name().alias(_FILE),
        F.input_file_block_start().alias(_BLOCK),
        F.when(is_large, F.left(whole, F.lit(SHOWN_CHARACTERS))).otherwise(whole).alias("raw"),
        micro_batch_moment().alias("began"),
        is_large.alias("too_large"),
    )


def placed_records(rows: DataFrame, *, table: Path) -> DataFrame:
    """Raw records with their places, as streaming.records gives them, of a micro-batch of `table_rows`.

    A stream does not tell a row's number in its file. A file's rows come in their order, so they can be counted. A
    record was received when its file was written, but not after the micro-batch began.
    """
    within = Window.partitionBy(_FILE).orderBy(_BLOCK, _ORDER)
    counted = rows.withColumn(_ORDER, F.monotonically_increasing_id()).withColumn(
        "source_offset", F.row_number().over(within).cast("bigint") - 1
    )
    files = [row[_FILE] for row in rows.select(_FILE).distinct().collect()]
    written = rows.sparkSession.createDataFrame(
        [(file, _written(file)) for file in files], f"{_FILE} string, written timestamp"
    )
    named = counted.join(F.broadcast(written), on=_FILE, how="left")
    return named.select(
        *[F.col(f"`{name}`") for name in rows.columns if name not in (_FILE, _BLOCK, *CARRIED)],
        partition_column(F.col(_FILE), table).alias("source_partition"),
        "source_offset",
        "raw",
        F.least("written", "began").alias("arrived"),
        "began",
        "too_large",
    )


def _written(file: str) -> datetime | None:
    path = Path(unquote(urlparse(file).path))
    return datetime.fromtimestamp(path.stat().st_mtime, UTC) if path.is_file() else None


@dataclass
class TableBatches:
    """`batches` of a table of the shop: called with the records, made by `records`, of each micro-batch of rows."""

    table: Path
    records: Callable[[DataFrame], DataFrame]
    batches: MicroBatches

    @property
    def failure(self) -> Exception | None:
        return self.batches.failure

    def __call__(self, rows: DataFrame, batch_id: int) -> None:
        """Asks for the files of the micro-batch, then for its rows."""
        rows.persist()
        try:
            self.batches(self.records(placed_records(rows, table=self.table)), batch_id)
        finally:
            rows.unpersist()


def first_version(session: SparkSession, table: Path, standing: DataFrame, *, files_per_trigger: int) -> int:
    """The version at which a new intake of a table begins: one before which every row stands, as late as is safe.

    `standing`: source_partition of the rows that stand. Files are taken in in the order of their commits, those of a
    micro-batch at once: a kill in it may leave any of them half taken in. So it is the version of the newest standing
    file but so many as a micro-batch may have. Raises StateError when the log no longer reaches back that far.
    """
    commits = sorted((table / "_delta_log").glob("[0-9]*.json"))
    numbered = session.read.schema(_COMMIT).json(spark_paths(commits)).where("add is not null")
    version = F.substring_index("_metadata.file_name", ".", 1).cast("bigint").alias("version")
    added = numbered.select(version, F.col("add.path").alias("path"))
    # A log names files from the table's folder, with % escapes.
    place = F.concat(F.lit(f"{table.absolute().name}/"), F.url_decode(F.replace("path", F.lit("+"), F.lit("%2B"))))
    mine = standing.where(F.startswith("source_partition", F.lit(f"{table.absolute().name}/"))).distinct()
    named = added.withColumn("source_partition", place).join(F.broadcast(mine), on="source_partition", how="left_semi")
    newest = named.orderBy(F.desc("version")).limit(max(files_per_trigger, _FILES_READ_AGAIN))
    safe = newest.agg(F.min("version").alias("safe")).collect()[0]["safe"]
    if safe is not None:
        return int(safe)
    oldest = min((int(commit.name.partition(".")[0]) for commit in commits), default=-1)
    if oldest != 0 or not mine.isEmpty():
        raise StateError(
            "the table's log no longer reaches back to where the intake would begin", where=str(table),
            expected="version 0, or the newest of which rows stand in events", found=f"versions from {oldest}",
            do="Run freshet ingest on the table once: the stream goes on from there",
        )  # fmt: skip
    return 0
