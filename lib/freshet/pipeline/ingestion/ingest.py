"""Step ingest: turns the records of one source into events, rows of quarantine and states of items.

Each table is written in one commit that replaces the earlier rows of the same files. So running it again repairs a run
that was killed between two tables, and running it twice changes nothing.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
from py4j.protocol import Py4JJavaError
from pyspark import StorageLevel
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from freshet.cleaning.flags import busy_days, flagged
from freshet.cleaning.item_attributes import ITEM_COLUMNS
from freshet.cleaning.items import catalogue_items, item_states, items_history, with_catalogue
from freshet.cleaning.judging import EVENT_KEY, accepted, judged, quarantined, repeated_records
from freshet.cleaning.meaning import mapping_meaning
from freshet.cleaning.parameters import CleaningParameters
from freshet.cleaning.parsing import PLACE
from freshet.cleaning.source_columns import AbsentColumn
from freshet.cleaning.summary import Overview, main_refusal, overview
from freshet.contracts import EVENTS, ITEMS_HISTORY, QUALITY_METRICS, QUARANTINE
from freshet.core.errors import InputError, MappingError, StateError, listed
from freshet.evaluation.splitting import check_as_of
from freshet.pipeline.ingestion.ingest_report import (
    IngestReport,
    WrittenCounts,
    by_frequency,
    ingest_notes,
    quality_rows,
)
from freshet.pipeline.ingestion.source_records import catalogue_records, source_records
from freshet.runs.home import Home
from freshet.sources.file_records import count_records
from freshet.sources.input_files import input_files, input_signature, partition_name, without_detours
from freshet.sources.mapping import read_mapping
from freshet.sources.rules import MISTAKES_FOUND_LATE, SourceMapping
from freshet.tables.lookups.figures import extent, rows_where, smallest_texts, value_counts
from freshet.tables.positions import TableVersion, check_name, keep_position, kept_position, newest
from freshet.tables.small_writes import replace_rows
from freshet.tables.warehouse import Warehouse


@dataclass(frozen=True)
class OwnRows:
    """The rows of events and quarantine that came from these files of the source.

    With `table`, the name of a Delta table: rows from all files that the table ever had, as a rewrite of its data
    replaces its files.
    """

    source: str
    partitions: list[str]
    table: str | None = None

    @property
    def sql(self) -> str:
        """The condition in Spark SQL."""
        if self.table is not None:
            return f"source = '{self.source}' and startswith(source_partition, {_quoted(f'{self.table}/')})"
        return f"source = '{self.source}' and source_partition in ({', '.join(map(_quoted, self.partitions))})"

    @property
    def of_source(self) -> pc.Expression:
        """For pyarrow: all rows of the source, also from other files."""
        return pc.field("source") == self.source

    @property
    def expression(self) -> pc.Expression:
        """The condition for pyarrow."""
        return self.of_source & self.mine

    @property
    def mine(self) -> pc.Expression:
        """For pyarrow: rows of these files, of any source."""
        partition = pc.field("source_partition")
        return partition.isin(self.partitions) if self.table is None else pc.starts_with(partition, f"{self.table}/")


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def stored_keys(warehouse: Warehouse, ours: OwnRows) -> DataFrame | None:
    """Keys of this source's events from other files; None if there are none."""
    others = ours.of_source & ~ours.mine
    if not rows_where(warehouse, EVENTS, others):
        return None
    stored = warehouse.read(EVENTS).where(F.col("source") == ours.source)
    return stored.where(f"not ({ours.sql})").select(*EVENT_KEY)


def with_earliest_first_seen(refused: DataFrame, before: DataFrame) -> DataFrame:
    """The refused records; those refused before keep the time at which they were first seen."""
    seen = before.select(*PLACE, F.col("first_seen").alias("_before"))
    kept = F.coalesce(F.least("first_seen", "_before"), F.col("first_seen"))
    joined = refused.join(seen, on=list(PLACE), how="left").withColumn("first_seen", kept)
    return joined.select(*QUARANTINE.column_names)


def written_counts(warehouse: Warehouse, ours: OwnRows) -> WrittenCounts:
    """Counts of these files' rows in the tables, read back from them."""
    counts = value_counts(warehouse, EVENTS, ["event_name", "flags"], ours.expression)
    refused = value_counts(warehouse, QUARANTINE, ["reason_code"], ours.expression)
    return WrittenCounts(
        by_event_name=by_frequency(counts["event_name"]),
        flags=by_frequency(counts["flags"]),
        refused=by_frequency(refused["reason_code"]),
        examples=smallest_texts(warehouse, QUARANTINE, "message", by="reason_code", where=ours.expression),
    )


_BROADCAST_ROWS = 500_000
"""Maximum number of refused records (some 100 bytes each) to broadcast to every worker."""

_MISTAKE = re.compile(rf"\[?[\w.]*({'|'.join(map(re.escape, MISTAKES_FOUND_LATE))})[^\n]*")
"""Finds a mistake of the mapping in an error message of Spark."""


def mapped_files(source: Path, input_path: Path) -> tuple[SourceMapping, list[Path]]:
    """The mapping and its input files. Raises MappingError and InputError if they do not match."""
    mapping = read_mapping(source)
    return mapping, input_files(input_path, mapping.input)


def ingest_inputs(source: Path, input_path: Path) -> dict[str, Any]:
    """What affects the result besides settings: the meaning of the mapping, and hashes of the content of all files."""
    mapping, files = mapped_files(source, input_path)
    catalogue = _catalogue_path(mapping, input_path)
    extra = [catalogue] if catalogue is not None and catalogue.is_file() else []
    # By their paths within the input, as files in different folders may have the same name.
    signed = {partition_name(Path(name), input_path): one for name, one in input_signature(files).items()}
    items = sorted(input_signature(extra).values())
    return {"source": mapping.name, "mapping": mapping_meaning(mapping), "files": signed, "catalogue": items}


def ingest(
    spark: SparkSession, home: Home, *, source: Path, input_path: Path, params: CleaningParameters, now: datetime,
    as_of: datetime | None = None, warehouse: Warehouse | None = None,
) -> IngestReport:  # fmt: skip
    """Ingests the files at `input_path` with the mapping `source`. Returns how many records were accepted and refused.

    `now` (UTC) is the time of the run: later events are refused, and it is `first_seen` of newly refused records.
    Earlier rows of the same files are replaced. Raises MappingError and InputError before anything is written: if
    mapping and files do not match, if no record can be accepted, and if the requested `as_of` would be outside the
    data.
    """
    mapping, files = mapped_files(source, input_path)
    position = newest(input_path) if mapping.input.format == "delta" else None
    # Only this version of a table: rows appended in the meantime are left for the next run.
    version = None if position is None else position.version
    if version is not None:
        files = input_files(input_path, mapping.input, version=version)
    source_rows = source_records(spark, input_path, mapping, files, version=version)
    raw = source_rows.raw
    catalogue = _catalogue(spark, mapping, input_path)
    path = without_detours(input_path)
    warehouse = warehouse or Warehouse(spark, home.warehouse)
    partitions = [partition_name(file, input_path) for file in files]
    ours = OwnRows(mapping.name, partitions, _known_table(home, mapping.name, path, position))
    stored = stored_keys(warehouse, ours)
    read = source_rows.narrowed(mapping, now=now, params=params)
    with _mapping_mistakes(source), _persisted(read), _persisted(repeated_records(read, mapping)) as repeated:
        is_small = repeated is not None and repeated.count() < _BROADCAST_ROWS
        repeats = F.broadcast(repeated) if repeated is not None and is_small else repeated
        records = judged(read, mapping, repeats=repeats, stored=stored)
        found = overview(records, params)
        _check_acceptable(found, records, input_path, source_rows.absent)
        _check_as_of(as_of, found, warehouse, ours)
        events = accepted(records, mapping)
        refused_before = rows_where(warehouse, QUARANTINE, ours.expression)
        replaced = rows_where(warehouse, EVENTS, ours.expression) + refused_before
        busy = _busy_days(events, params)
        flagged_events = flagged(events, limits=found.limits, busy=busy)
        # Keys are unique: repeated records have just been refused.
        warehouse.replace(flagged_events.drop(*ITEM_COLUMNS), EVENTS, where=ours.sql, keys_are_unique=True)
        refused = quarantined(records, raw, mapping, first_seen=now, few=found.refused < _BROADCAST_ROWS)
        if refused_before:
            refused = with_earliest_first_seen(refused, warehouse.read(QUARANTINE).where(ours.sql))
        warehouse.replace(refused, QUARANTINE, where=ours.sql, keys_are_unique=True)
        # Without flags of bots: they do not matter for the states of items.
        items = _write_items(warehouse, flagged(events, limits=found.limits, busy=None), ours, catalogue, params)
    counts = written_counts(warehouse, ours)
    report = IngestReport(
        source=mapping.name,
        files=len(files),
        raw_rows=count_records(raw, files, mapping.input),
        accepted=counts.accepted,
        refused=counts.refused,
        by_event_name=counts.by_event_name,
        flags=counts.flags,
        items=items,
        replaced=replaced,
        limits=found.limits,
        notes=(*ingest_notes(mapping, counts, catalogue is not None, params), *_misspelt(source_rows.absent)),
    )
    _check_arithmetic(report, counts, found)
    if position is not None:
        keep_position(home.sources, mapping.name, path, position)
    own_checks = f"checked_at = '{now:%Y-%m-%dT%H:%M:%S.%fZ}' and starts_with(\"check\", '{mapping.name}/')"
    replace_rows(warehouse, quality_rows(report, now, params), QUALITY_METRICS, where=own_checks)
    return report


def _known_table(home: Home, source: str, path: Path, position: TableVersion | None) -> str | None:
    """The name of a Delta table that was ingested before; its files of that time may have been rewritten since."""
    if position is None:
        return None
    check_name(home.sources, source, path)
    return None if kept_position(home.sources, source, position.table_id) is None else path.name


@contextmanager
def _persisted(records: DataFrame | None) -> Iterator[DataFrame | None]:
    """Persists records that are used several times; what does not fit into memory is kept on disk."""
    if records is None:
        yield None
        return
    try:
        yield records.persist(StorageLevel.MEMORY_AND_DISK)
    finally:
        records.unpersist()


@contextmanager
def _mapping_mistakes(source: Path) -> Iterator[None]:
    """Raises MappingError for invalid formats and zones, which Spark detects only when they are used."""
    try:
        yield
    except (Py4JJavaError, PySparkException) as error:
        # It is a Py4JJavaError if two tasks have failed at the same time.
        mistake = _MISTAKE.search(str(error))
        if mistake is None:
            raise
        raise MappingError(
            "a time format, time zone or regular expression cannot be used", where=str(source),
            found=mistake.group()[:200],
        ) from None  # fmt: skip


def _busy_days(events: DataFrame, params: CleaningParameters) -> DataFrame | None:
    """Shoppers' days with more events than the limit. None if there are none, as usual, which saves a join."""
    if params.bot_events_per_day == 0:
        return None
    busy = busy_days(events, more_than=params.bot_events_per_day)
    return None if busy.isEmpty() else busy


def _catalogue_path(mapping: SourceMapping, input_path: Path) -> Path | None:
    if mapping.catalogue is None:
        return None
    return (input_path if input_path.is_dir() else input_path.parent) / mapping.catalogue.file


def _catalogue(spark: SparkSession, mapping: SourceMapping, input_path: Path) -> DataFrame | None:
    path = _catalogue_path(mapping, input_path)
    if path is None or mapping.catalogue is None or not path.exists():
        return None
    raw = catalogue_records(spark, path, mapping.catalogue)
    return catalogue_items(raw, mapping.catalogue, mapping.null_values)


def _write_items(
    warehouse: Warehouse, events: DataFrame, ours: OwnRows, catalogue: DataFrame | None, params: CleaningParameters
) -> int:
    states = item_states(events, state_days=params.item_state_days)
    if catalogue is not None:
        span = extent(warehouse, EVENTS, "event_time", ours.expression)
        assert span is not None  # there are accepted events, and they have just been written
        states = with_catalogue(states, catalogue, F.lit(span[0]).cast("timestamp"))
    stored = warehouse.read(ITEMS_HISTORY) if warehouse.exists(ITEMS_HISTORY) else None
    # An item has one state per time: the newest known one.
    warehouse.replace(items_history(states, stored=stored), ITEMS_HISTORY, keys_are_unique=True)
    return len(value_counts(warehouse, ITEMS_HISTORY, ["item_id"])["item_id"])


def _misspelt(absent: list[AbsentColumn]) -> tuple[str, ...]:
    """A note on columns that no record of the sample has although there is one with a similar name."""
    problems = [one.problem for one in absent if one.has_like]
    return (f"according to the first records, {listed(problems)}",) if problems else ()


def _check_acceptable(found: Overview, records: DataFrame, input_path: Path, absent: list[AbsentColumn]) -> None:
    if found.accepted:
        return
    if not found.refused:
        raise InputError("there are no records", where=str(input_path), expected="a header and rows of data")
    reason, rows, example = main_refusal(records)
    raise InputError(
        f"none of the {found.refused} records can be accepted", where=str(input_path),
        found=f"{rows} times {reason}, such as: {example}",
        do="Correct the mapping or the --input; nothing was written"
        + (f": {listed([one.problem for one in absent])}" if absent else ""),
    )  # fmt: skip


def _check_as_of(as_of: datetime | None, found: Overview, warehouse: Warehouse, ours: OwnRows) -> None:
    """Raises InputError if `as_of` is outside the resulting events: stored ones of other files, and accepted ones."""
    if as_of is None or found.span is None:
        return
    others = extent(warehouse, EVENTS, "event_time", ~ours.expression) if warehouse.exists(EVENTS) else None
    first, newest = found.span if others is None else (min(others[0], found.span[0]), max(others[1], found.span[1]))
    check_as_of(as_of, first, newest, do="Nothing was written: give another --as-of, or none")


def _check_arithmetic(report: IngestReport, counts: WrittenCounts, found: Overview) -> None:
    sums = {
        "raw rows = events + quarantine": (report.raw_rows, counts.accepted + counts.all_refused),
        "events = accepted records": (counts.accepted, found.accepted),
        "quarantine = refused records": (counts.all_refused, found.refused),
    }
    wrong = [f"{text}: {left} is not {right}" for text, (left, right) in sums.items() if left != right]
    if wrong:
        raise StateError(
            "the records do not add up: " + "; ".join(wrong), where=f"source {report.source}",
            do="Run the step again; the input may have changed during the run",
        )  # fmt: skip
