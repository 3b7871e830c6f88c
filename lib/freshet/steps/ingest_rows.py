"""The rows that events and quarantine hold of the files taken in, and of other files of the same source."""

from dataclasses import dataclass

import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from freshet.cleaning.judging import EVENT_KEY
from freshet.cleaning.parsing import PLACE
from freshet.contracts import EVENTS, QUARANTINE
from freshet.steps.ingest_report import WrittenCounts, by_frequency
from freshet.storage.figures import rows_where, smallest_texts, value_counts
from freshet.storage.tables import Warehouse


@dataclass(frozen=True)
class OwnRows:
    """The rows of events and quarantine that came with these files of the source.

    With `table`, the name of a Delta table: with all files that it ever had, which are others when it was laid out
    anew.
    """

    source: str
    partitions: list[str]
    table: str | None = None

    @property
    def sql(self) -> str:
        """The condition in Spark's SQL."""
        if self.table is not None:
            return f"source = '{self.source}' and startswith(source_partition, {_quoted(f'{self.table}/')})"
        return f"source = '{self.source}' and source_partition in ({', '.join(map(_quoted, self.partitions))})"

    @property
    def of_source(self) -> pc.Expression:
        """For pyarrow: rows of the source, these and those of other files."""
        return pc.field("source") == self.source

    @property
    def expression(self) -> pc.Expression:
        """The condition for pyarrow."""
        return self.of_source & self.mine

    @property
    def mine(self) -> pc.Expression:
        """For pyarrow: rows of these files, of whatever source."""
        partition = pc.field("source_partition")
        return partition.isin(self.partitions) if self.table is None else pc.starts_with(partition, f"{self.table}/")


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def stored_keys(warehouse: Warehouse, ours: OwnRows) -> DataFrame | None:
    """Keys of this source's events from other files; None when there are none."""
    others = ours.of_source & ~ours.mine
    if not rows_where(warehouse, EVENTS, others):
        return None
    stored = warehouse.read(EVENTS).where(F.col("source") == ours.source)
    return stored.where(f"not ({ours.sql})").select(*EVENT_KEY)


def first_seen_kept(refused: DataFrame, before: DataFrame) -> DataFrame:
    """Records that were refused before keep the time at which they first were."""
    seen = before.select(*PLACE, F.col("first_seen").alias("_before"))
    kept = F.coalesce(F.least("first_seen", "_before"), F.col("first_seen"))
    joined = refused.join(seen, on=list(PLACE), how="left").withColumn("first_seen", kept)
    return joined.select(*QUARANTINE.column_names)


def written_counts(warehouse: Warehouse, ours: OwnRows) -> WrittenCounts:
    """What the tables hold of these files, read back from them."""
    counts = value_counts(warehouse, EVENTS, ["event_name", "flags"], ours.expression)
    refused = value_counts(warehouse, QUARANTINE, ["reason_code"], ours.expression)
    return WrittenCounts(
        by_event_name=by_frequency(counts["event_name"]),
        flags=by_frequency(counts["flags"]),
        refused=by_frequency(refused["reason_code"]),
        examples=smallest_texts(warehouse, QUARANTINE, "message", by="reason_code", where=ours.expression),
    )
