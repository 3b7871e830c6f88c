"""What of a source stands in the tables already: asked at a start, and until a stream has passed it."""

from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from freshet.contracts import EVENTS, QUARANTINE, TableContract
from freshet.storage.tables import Warehouse
from freshet.streaming.arrivals import KEY_HASHES, key_hashes
from freshet.streaming.recent_keys import RecentKeys

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class StandingPlaces:
    """Per partition of a source the highest offset that stood in a table when the stream began."""

    source: str
    newest: dict[str, int]

    @staticmethod
    def of(warehouse: Warehouse, source: str) -> "StandingPlaces":
        """As the tables are now. Partitions are few: those of a topic, or the files of a folder."""
        rows = taken_in(warehouse, source).collect()
        return StandingPlaces(source, {row["source_partition"]: row["newest"] for row in rows})

    def of_batch(self, warehouse: Warehouse, found: pa.Table) -> tuple[Flags, Flags]:
        """Which records (source_partition, source_offset) stand in events, and which in quarantine.

        The tables are asked only for micro-batches that begin before the stream has passed what stood.
        """
        begins = found.group_by("source_partition").aggregate([("source_offset", "min")])
        reached = {
            partition: first
            for partition, first in zip(*(begins.column(n).to_pylist() for n in range(2)), strict=True)
            if first <= self.newest.get(partition, -1)
        }
        nothing = np.zeros(found.num_rows, dtype=bool)
        if not reached:
            return nothing, nothing.copy()
        return self._flags(warehouse, EVENTS, found, reached), self._flags(warehouse, QUARANTINE, found, reached)

    def _flags(self, warehouse: Warehouse, table: TableContract, found: pa.Table, reached: dict[str, int]) -> Flags:
        """Records of `found` whose place the table holds."""
        last = pc.max(found.column("source_offset")).as_py()
        rows = warehouse.read(table).where((F.col("source") == self.source) & _from(reached))
        places = rows.where(F.col("source_offset") <= last).select("source_partition", "source_offset").toArrow()
        result = np.zeros(found.num_rows, dtype=bool)
        partitions = found.column("source_partition").to_numpy(zero_copy_only=False)
        offsets = found.column("source_offset").to_numpy()
        for partition in reached:
            mine = places.filter(pc.equal(places.column("source_partition"), partition)).column("source_offset")
            result |= (partitions == partition) & np.isin(offsets, mine.to_numpy())
        return result


def _from(begins: dict[str, int]) -> Column:
    """Rows of these partitions from the given offsets on."""
    condition = F.lit(False)
    for partition, first in begins.items():
        condition = condition | ((F.col("source_partition") == partition) & (F.col("source_offset") >= first))
    return condition


def recent_keys(warehouse: Warehouse, source: str, found: pa.Table, window: timedelta) -> RecentKeys:
    """The keys of a source's events that were received within `window` before the first micro-batch `found`.

    Left out are places of that micro-batch and behind it: those are no earlier records.
    """
    begins = found.group_by("source_partition").aggregate([("source_offset", "min")])
    later = _from(dict(zip(*(begins.column(n).to_pylist() for n in range(2)), strict=True)))
    oldest = pc.min(found.column("received_time")).as_py()
    recent = RecentKeys()
    events = warehouse.read(EVENTS).where((F.col("source") == source) & ~later)
    if oldest is not None:
        events = events.where(F.col("received_time") >= F.lit(oldest.replace(tzinfo=None) - window))
    keys = events.select(*key_hashes(), "received_time").toArrow()
    if keys.num_rows:
        newest = pc.max(keys.column("received_time")).as_py().replace(tzinfo=None)
        recent.add(np.stack([keys.column(name).to_numpy() for name in KEY_HASHES], axis=1), newest)
    return recent


def taken_in(warehouse: Warehouse, source: str) -> DataFrame:
    """(source_partition, newest) per partition of a source: the highest offset that stands in a table."""
    places = [
        warehouse.read(table).where(F.col("source") == source).select("source_partition", "source_offset")
        for table in (EVENTS, QUARANTINE)
    ]
    return places[0].unionByName(places[1]).groupBy("source_partition").agg(F.max("source_offset").alias("newest"))
