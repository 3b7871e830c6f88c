"""A Delta table of the shop as a feed of the service."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession

from freshet.runs.job import Job
from freshet.service.intake.arrivals import arrivals
from freshet.service.streams.table_records import TableBatches, TablePosition, table_rows, version_ingested
from freshet.sources.mapping import read_mapping
from freshet.tables.positions import check_name, check_not_overtaken, first_version_to_read, keep_position


@dataclass(frozen=True)
class ShopTable:
    """A Delta table to which the shop appends its events, and the mapping of its rows."""

    mapping: Path
    path: Path

    @property
    def place(self) -> str:
        return f"Delta table {self.path.absolute()}"


def shop_rows(job: Job, session: SparkSession, feed: ShopTable, *, has_checkpoint: bool) -> DataFrame:
    """The stream of the table's rows. A new query starts where the tables of the home end; with `has_checkpoint` it
    resumes from its checkpoint. Raises InputError, MappingError and StateError for a table that cannot be read so."""
    params, mapping = job.settings.service, read_mapping(feed.mapping)
    check_name(job.home.sources, mapping.name, feed.path)
    first = 0 if has_checkpoint else first_version_to_read(job.home.sources, mapping.name, feed.path)
    return table_rows(
        session, mapping, table=feed.path, first_version=first, files_per_trigger=params.most_intake_files,
        skip_changes=params.skip_changed_commits,
    )  # fmt: skip


def shop_batches(job: Job, feed: ShopTable, intake: Callable[[DataFrame, int], None]) -> TableBatches:
    """`intake`, a function of `intake.arrivals`, as a function of the micro-batches of `shop_rows`."""
    mapping = read_mapping(feed.mapping)
    return TableBatches(feed.path, lambda raw: arrivals(raw, mapping, job.settings.cleaning), intake)


def shop_position(job: Job, feed: ShopTable, query: Path) -> TablePosition:
    """Records up to which version the query with this checkpoint has ingested the table.

    Raises StateError when `freshet ingest` has ingested more of the table than the query.
    """
    where = job.home.sources, read_mapping(feed.mapping).name, feed.path
    seen = version_ingested(query)
    if seen is not None:
        check_not_overtaken(*where, seen)
    return TablePosition(partial(keep_position, *where), partial(version_ingested, query))
