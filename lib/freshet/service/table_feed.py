"""A Delta table of the shop as a feed of the service."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession

from freshet.runs.job import Job
from freshet.service.intake.arrivals import arrivals
from freshet.service.streams.table_records import TableBatches, TablePosition, table_rows, version_passed
from freshet.sources.mapping import read_mapping
from freshet.tables.positions import check_name, check_not_overtaken, keep_position, version_to_begin


@dataclass(frozen=True)
class ShopTable:
    """A Delta table to which the shop appends its events, and the mapping of its rows."""

    mapping: Path
    path: Path

    @property
    def place(self) -> str:
        return f"Delta table {self.path.absolute()}"


def shop_rows(job: Job, session: SparkSession, feed: ShopTable, *, has_checkpoint: bool) -> DataFrame:
    """The stream of rows that a new intake begins, from where the tables of the home end; `has_checkpoint`: there is a
    checkpoint, from which it goes on. Raises InputError, MappingError and StateError where that cannot be."""
    params, mapping = job.settings.service, read_mapping(feed.mapping)
    check_name(job.home.sources, mapping.name, feed.path)
    begin = 0 if has_checkpoint else version_to_begin(job.home.sources, mapping.name, feed.path)
    return table_rows(
        session, mapping, table=feed.path, first_version=begin, files_per_trigger=params.most_intake_files,
        skip_changes=params.skip_changed_commits,
    )  # fmt: skip


def shop_batches(job: Job, feed: ShopTable, intake: Callable[[DataFrame, int], None]) -> TableBatches:
    """`intake`, which takes in streaming.arrivals, for the micro-batches of `shop_rows`."""
    mapping = read_mapping(feed.mapping)
    return TableBatches(feed.path, lambda raw: arrivals(raw, mapping, job.settings.cleaning), intake)


def shop_position(job: Job, feed: ShopTable, query: Path) -> TablePosition:
    """The keeper of how far the table is taken in by the query with this checkpoint.

    Raises StateError where an ingest has overtaken the query.
    """
    where = job.home.sources, read_mapping(feed.mapping).name, feed.path
    seen = version_passed(query)
    if seen is not None:
        check_not_overtaken(*where, seen)
    return TablePosition(partial(keep_position, *where), partial(version_passed, query))
