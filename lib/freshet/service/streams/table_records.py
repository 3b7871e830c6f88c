"""A shop's own Delta table as a stream of raw records: what is appended to it, commit by commit.

A record has the same place as when the table is ingested (sources.file_records). So a table whose log no longer reaches
back to its first version is ingested once, and streamed from there (tables.positions).
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
from freshet.tables.positions import TableVersion

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
    """Rows of the files that commits from `first_version` on have added, as `placed_records` needs them.

    Commits that only rearrange rows (OPTIMIZE) add none. One that changes or deletes rows ends the stream, or is
    skipped completely with `skip_changes`. Raises MappingError and InputError if the columns do not fit."""
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
    """Raw records with their places, as in streams.records, of a micro-batch of `table_rows`.

    `rows` should be persisted: they are read twice. A record was received when its file was written, but not after the
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
    """Calls `batches` for each micro-batch of rows of a shop's table, with the records that `records` makes of them."""

    table: Path
    records: Callable[[DataFrame], DataFrame]
    batches: Callable[[DataFrame, int], None]

    def __call__(self, rows: DataFrame, batch_id: int) -> None:
        """Reads the names of the micro-batch's files, then its rows."""
        rows.persist()
        try:
            self.batches(self.records(placed_records(rows, table=self.table)), batch_id)
        except (PySparkException, Py4JJavaError) as error:
            text = str(error)
            if self.table.name in unquote(text) and any(mark in text for mark in FILE_GONE):
                raise StateError(VACUUMED[0], where=str(self.table), do=VACUUMED[1]) from error
            raise
        finally:
            rows.unpersist()


def version_ingested(query: Path) -> TableVersion | None:
    """The version up to which a query on a Delta table has read all rows, by its newest micro-batch; None before the
    first."""
    newest = newest_number(query / "offsets")
    if newest is None:
        return None
    offset = source_offset(query, newest)
    return TableVersion(str(offset["reservoirId"]), int(offset["reservoirVersion"]) - 1)


@dataclass
class TablePosition:
    """Stores, after each micro-batch, up to which version a table of the shop is ingested; `ingested` returns it."""

    keep: Callable[[TableVersion], None]
    ingested: Callable[[], TableVersion | None]
    _stored: TableVersion | None = None

    def between_batches(self) -> None:
        """Stores the version up to which all rows are ingested, if it is a new one."""
        version = self.ingested()
        if version is not None and version != self._stored:
            self.keep(version)
            self._stored = version
