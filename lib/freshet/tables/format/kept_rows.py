"""Rows that steps of one session share, as Parquet files: Spark reads them, and so do workers, without Spark.

Spark hands a worker each text of a row on its own: of 300,000 histories, 8 million entries, that took 2.7 s of a core.
A worker that reads the files itself, in which texts are codes of a dictionary, needs 0.2 s for them.

For a folder that driver and workers share, as they share scoring artifacts.
"""

import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType

Work: TypeAlias = Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]
"""A function of Arrow batches that runs in the workers, as DataFrame.mapInArrow takes it."""

_ROWS_AT_ONCE = 8192

_PARTS_OF_A_CORE = 2
"""So that a core that has finished a part finds another one."""


class _Part(NamedTuple):
    """Rows first:stop of a row group of a file."""

    file: Path
    group: int
    first: int
    stop: int


@dataclass(frozen=True)
class KeptRows:
    """Rows of this schema in the Parquet files of a folder, which do not change."""

    spark: SparkSession
    folder: Path
    schema: StructType

    @property
    def frame(self) -> DataFrame:
        """All rows, read by Spark."""
        return self.spark.read.schema(self.schema).parquet(str(self.folder))

    def in_workers(self, columns: Sequence[str], *, coded: Sequence[str]) -> tuple[DataFrame, Work]:
        """A frame and a work for its mapInArrow, which together give all rows, these columns of them.

        Texts `coded`, by Parquet's names of columns (history.list.element.item_id), are codes of a dictionary.
        """
        parts = _parts(
            sorted(self.folder.glob("*.parquet")), _PARTS_OF_A_CORE * self.spark.sparkContext.defaultParallelism
        )

        def read(numbers: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            for batch in numbers:
                for number in batch.column(0).to_pylist():
                    yield from _rows(parts[number], columns, coded)

        return self.spark.range(0, len(parts), 1, max(1, len(parts))).toDF("part"), read


def _parts(files: Sequence[Path], count: int) -> list[_Part]:
    """All rows of the files, in at least `count` parts if there are as many rows."""
    groups = []
    for file in files:
        footer = pq.read_metadata(file)
        groups += [(file, group, footer.row_group(group).num_rows) for group in range(footer.num_row_groups)]
    shares = -(-count // max(1, len(groups)))
    made = [
        _Part(file, group, rows * n // shares, rows * (n + 1) // shares)
        for file, group, rows in groups
        for n in range(shares)
    ]
    return [part for part in made if part.stop > part.first]


def _rows(part: _Part, columns: Sequence[str], coded: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Rows before the part are decoded and skipped: that costs a hundredth of the work on rows."""
    start = 0
    with pq.ParquetFile(part.file, read_dictionary=list(coded), coerce_int96_timestamp_unit="us") as file:
        for batch in file.iter_batches(_ROWS_AT_ONCE, [part.group], list(columns), use_threads=False):
            mine = batch.slice(max(0, part.first - start), max(0, part.stop - max(start, part.first)))
            start += batch.num_rows
            if mine.num_rows:
                yield mine
            if start >= part.stop:
                return


@dataclass(frozen=True)
class Keeper:
    """Stores rows below `folder`, in a folder of its own, until it is closed."""

    folder: Path
    _name: str = field(default_factory=lambda: uuid.uuid4().hex)

    def kept(self, frame: DataFrame) -> KeptRows:
        """The rows of a frame, computed now."""
        folder = self.folder / self._name / uuid.uuid4().hex
        frame.write.parquet(str(folder))
        return KeptRows(frame.sparkSession, folder, frame.schema)

    def forget_others(self, before: datetime) -> None:
        """Removes folders that killed processes have left: those last written to before a moment, in UTC."""
        for other in self.folder.glob("*"):
            # Another session may remove it at the same time.
            with suppress(FileNotFoundError):
                if other.stat().st_mtime < before.replace(tzinfo=UTC).timestamp():
                    shutil.rmtree(other, ignore_errors=True)

    def close(self) -> None:
        """Removes the stored rows."""
        shutil.rmtree(self.folder / self._name, ignore_errors=True)
