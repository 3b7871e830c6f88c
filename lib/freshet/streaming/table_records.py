"""A shop's own Delta table as a stream of raw records: what is appended to it, commit by commit.

A record has the place that ingesting the table gives it (storage.inputs). So a table whose log no longer has its
beginning is ingested once, and streamed from there (storage.table_positions).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote, urlparse

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from freshet.cleaning.parsing import PLACE
from freshet.cleaning.rules import SourceMapping
from freshet.cleaning.source_columns import check_mapping
from freshet.errors import InputError, StateError
from freshet.storage.inputs import partition_column
from freshet.storage.table_positions import Passed
from freshet.streaming.records import CARRIED, MOST_RECORD_CHARACTERS, SHOWN_CHARACTERS, micro_batch_moment
from freshet.streaming.running import VACUUMED, MicroBatches

_GONE = ("FAILED_READ_FILE", "DELTA_FILE_NOT_FOUND", "FileNotFoundException")
"""Of a file that was removed before it was read."""

_OWN = "_freshet_"
_FILE, _BLOCK, _ORDER, _WRITTEN = (f"{_OWN}{name}" for name in ("file", "block", "order", "written"))


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
    taken = {name for name in read.columns if name.lower() in (*PLACE, *CARRIED) or name.startswith(_OWN)}
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
        [(file, _time_of(file)) for file in files], f"{_FILE} string, {_WRITTEN} timestamp"
    )
    named = counted.join(F.broadcast(written), on=_FILE, how="left")
    return named.select(
        *[F.col(f"`{name}`") for name in rows.columns if name not in (_FILE, _BLOCK, *CARRIED)],
        partition_column(F.col(_FILE), table).alias("source_partition"),
        "source_offset",
        "raw",
        F.least(_WRITTEN, "began").alias("arrived"),
        "began",
        "too_large",
    )


def _time_of(file: str) -> datetime | None:
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
        except (PySparkException, Py4JJavaError) as error:
            told = str(error)
            if self.table.name in unquote(told) and any(mark in told for mark in _GONE):
                raise StateError(VACUUMED[0], where=str(self.table), do=VACUUMED[1]) from error
            raise
        finally:
            rows.unpersist()


@dataclass
class TablePosition:
    """Keeps, after each micro-batch, how far a table of the shop is taken in; `passed` tells the version."""

    keep: Callable[[Passed], None]
    passed: Callable[[], Passed | None]
    _kept: Passed | None = None

    def between_batches(self) -> None:
        """Notes the version up to which all rows stand, where it is a new one."""
        passed = self.passed()
        if passed is not None and passed != self._kept:
            self.keep(passed)
            self._kept = passed
