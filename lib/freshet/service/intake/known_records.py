"""Which records of a source the tables hold already: read at a start, and until the stream is beyond them.

Without Spark, whose first plans would take as long as the rest of a start.
"""

from dataclasses import dataclass
from datetime import timedelta
from functools import reduce
from operator import or_

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from freshet.cleaning.judging import EVENT_KEY
from freshet.cleaning.parsing import PLACE
from freshet.contracts import EVENTS, QUARANTINE, TableContract
from freshet.service.intake.recent_keys import RecentKeys, keys_of
from freshet.tables.lookups.figures import batches_where
from freshet.tables.warehouse import Warehouse

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class StoredPlaces:
    """Per partition of a source the highest offset that a table held when the stream started."""

    source: str
    newest: dict[str, int]

    @staticmethod
    def of(warehouse: Warehouse, source: str) -> "StoredPlaces":
        """As the tables are now. Partitions are few: those of a topic, or the files of a folder."""
        newest: dict[str, int] = {}
        for table in (EVENTS, QUARANTINE):
            for rows in batches_where(warehouse, table, PLACE, pc.field("source") == source):
                for partition, offset in _by_partition(pa.table(rows), "max").items():
                    newest[partition] = max(offset, newest.get(partition, -1))
        return StoredPlaces(source, newest)

    def of_batch(self, warehouse: Warehouse, found: pa.Table) -> tuple[Flags, Flags]:
        """Which records (source_partition, source_offset) are in events, and which in quarantine.

        The tables are read only for micro-batches that start at or before the highest stored offset.
        """
        begins = _by_partition(found, "min")
        reached = {partition: first for partition, first in begins.items() if first <= self.newest.get(partition, -1)}
        nothing = np.zeros(found.num_rows, dtype=bool)
        if not reached:
            return nothing, nothing.copy()
        return self._flags(warehouse, EVENTS, found, reached), self._flags(warehouse, QUARANTINE, found, reached)

    def _flags(self, warehouse: Warehouse, table: TableContract, found: pa.Table, reached: dict[str, int]) -> Flags:
        """Records of `found` whose place the table holds."""
        last = pc.max(found.column("source_offset")).as_py()
        mine = (pc.field("source") == self.source) & _from(reached) & (pc.field("source_offset") <= last)
        places = pa.Table.from_batches(batches_where(warehouse, table, PLACE, mine), _PLACES)
        result = np.zeros(found.num_rows, dtype=bool)
        partitions = found.column("source_partition").to_numpy(zero_copy_only=False)
        offsets = found.column("source_offset").to_numpy()
        for partition in reached:
            mine = places.filter(pc.equal(places.column("source_partition"), partition)).column("source_offset")
            result |= (partitions == partition) & np.isin(offsets, mine.to_numpy())
        return result


def _by_partition(places: pa.Table, which: str) -> dict[str, int]:
    """Per partition the first (min) or the last (max) offset of rows of PLACE."""
    ends = places.group_by(PLACE[0]).aggregate([(PLACE[1], which)])
    return dict(zip(*(ends.column(n).to_pylist() for n in range(2)), strict=True))


def _from(begins: dict[str, int]) -> pc.Expression:
    """Rows of these partitions from the given offsets on. There is at least one."""
    conditions = (
        (pc.field("source_partition") == partition) & (pc.field("source_offset") >= first)
        for partition, first in begins.items()
    )
    return reduce(or_, conditions)


def recent_keys(warehouse: Warehouse, source: str, found: pa.Table, window: timedelta) -> RecentKeys:
    """The keys of a source's events that were received within `window` before the first micro-batch `found`, which has
    rows.

    Places of that micro-batch and after it are left out: they are no earlier records.
    """
    later = _from(_by_partition(found, "min"))
    oldest = pc.min(found.column("received_time")).as_py()
    recent = RecentKeys()
    wanted = (pc.field("source") == source) & ~later
    if oldest is not None:
        since = pa.scalar(oldest.replace(tzinfo=None) - window, pa.timestamp("us", "UTC"))
        wanted &= pc.field("received_time") >= since
    for events in batches_where(warehouse, EVENTS, (*EVENT_KEY, "received_time"), wanted):
        if events.num_rows:
            recent.add(keys_of(events), pc.max(events.column("received_time")).as_py().replace(tzinfo=None))
    return recent


_PLACES = pa.schema([("source_partition", pa.string()), ("source_offset", pa.int64())])
