"""A shop's own Delta table as a stream of raw records: what is appended to it, commit by commit.

A record has the place that ingesting the table gives it (storage.inputs). So a table whose log no longer has its
beginning is ingested once, and streamed from there (storage.table_positions).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from urllib.parse import unquote, urlparse

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from freshet.cleaning.parsing import PLACE
from freshet.cleaning.source_columns import check_mapping
from freshet.contracts.inputs import kept_text
from freshet.core.errors import InputError, StateError
from freshet.service.lifecycle.checkpoint import newest_number, source_offset
from freshet.service.lifecycle.running import FILE_GONE, VACUUMED
from freshet.service.streams.records import CARRIED, micro_batch_moment
from freshet.sources.file_records import numbered, partition_column
from freshet.sources.rules import SourceMapping
from freshet.tables.positions import Passed

_OWN = "_freshet_"
_FILE, _BLOCK, _WRITTEN = (f"{_OWN}{name}" for name in ("of_file", "of_block", "written"))


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
    raw, is_large = kept_text(F.to_json(F.struct(*columns)))
    return read.select(
        *columns,
        F.input_file_name().alias(_FILE),
        F.input_file_block_start().alias(_BLOCK),
        raw.alias("raw"),
        micro_batch_moment().alias("began"),
        is_large.alias("too_large"),
    )


def placed_records(rows: DataFrame, *, table: Path) -> DataFrame:
    """Raw records with their places, as streaming.records gives them, of a micro-batch of `table_rows`.

    `rows` are kept: they are read twice. A record was received when its file was written, but not after the
    micro-batch began.
    """
    columns = [F.col(f"`{name}`") for name in rows.columns if name not in (_FILE, _BLOCK)]
    partition = partial(partition_column, path=table)
    placed = numbered(rows, columns, file=F.col(_FILE), block=F.col(_BLOCK), partition=partition)
    files = [row[_FILE] for row in rows.select(_FILE).distinct().collect()]
    written = rows.sparkSession.createDataFrame(
        [(file, _time_of(file)) for file in files], f"{_FILE} string, {_WRITTEN} timestamp"
    ).select(partition(F.col(_FILE)).alias("source_partition"), _WRITTEN)
    return placed.join(F.broadcast(written), on="source_partition", how="left").select(
        *[F.col(f"`{name}`") for name in rows.columns if name not in (_FILE, _BLOCK, *CARRIED)],
        *PLACE,
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
    batches: Callable[[DataFrame, int], None]

    def __call__(self, rows: DataFrame, batch_id: int) -> None:
        """Asks for the files of the micro-batch, then for its rows."""
        rows.persist()
        try:
            self.batches(self.records(placed_records(rows, table=self.table)), batch_id)
        except (PySparkException, Py4JJavaError) as error:
            told = str(error)
            if self.table.name in unquote(told) and any(mark in told for mark in FILE_GONE):
                raise StateError(VACUUMED[0], where=str(self.table), do=VACUUMED[1]) from error
            raise
        finally:
            rows.unpersist()


def version_passed(query: Path) -> Passed | None:
    """Up to where a query on a Delta table has seen all rows, by its newest micro-batch; None before any."""
    newest = newest_number(query / "offsets")
    if newest is None:
        return None
    offset = source_offset(query, newest)
    return Passed(str(offset["reservoirId"]), int(offset["reservoirVersion"]) - 1)


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
