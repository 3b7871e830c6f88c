"""How the stream of lists takes over from the tables: the history so far, then the events after it.

From a topic it continues at the offsets where the tables end; from table `events`, at the next version of it.

The hand-over is written once, before a query has its first checkpoint, and stored next to it: a restart uses the same
hand-over, so that no event is missed or counted twice.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from freshet.cleaning.parsing import PLACE
from freshet.contracts import EVENTS, QUARANTINE
from freshet.core.errors import StateError
from freshet.core.records import read_record, write_record
from freshet.service.lists.history_events import stream_events
from freshet.tables.appends import appended_rows
from freshet.tables.warehouse import Warehouse

_RECORD = "handover"
EARLIEST = -2
"""Kafka's own number for the oldest message of a partition."""

KeepHistory = Callable[[DataFrame, Path], None]
"""Puts the rows of table `events` into the state of a stream, in a folder."""


@dataclass(frozen=True)
class Handover:
    """`events_version`: version of table events that is the history; `offsets`: first offset of each partition to be
    read from the topic."""

    topic: str
    events_version: int
    offsets: dict[int, int]


def topic_handover(
    warehouse: Warehouse, folder: Path, *, source: str, topic: str, partitions: int, keep_history: KeepHistory
) -> Handover:
    """The hand-over recorded in `folder`; if there is none, a new one from the current version of `events`.

    `keep_history` writes the history into `folder` and is called before the hand-over is recorded. Events of `source`
    in these partitions of the topic before the offsets are history; so are all events of other sources, which are not
    in the topic. Raises StateError when the topic has fewer partitions than a hand-over was made for."""
    recorded = read_record(folder, _RECORD)
    if recorded is None:
        version = warehouse.version(EVENTS)
        events = warehouse.read(EVENTS, version=version)
        offsets = next_offsets(in_order(warehouse, events), source=source, topic=topic, partitions=partitions)
        keep_history(events, folder)
        write_record(folder, _RECORD, {"topic": topic, "events_version": version, "offsets": offsets})
        return Handover(topic, version, offsets)
    found = Handover(recorded["topic"], recorded["events_version"], {int(n): o for n, o in recorded["offsets"].items()})
    if found.topic != topic or len(found.offsets) > partitions:
        raise StateError(
            "this stream was started on another topic", where=str(folder),
            expected=f"topic {found.topic} with {len(found.offsets)} partitions or more",
            found=f"topic {topic} with {partitions}", do="Start over with --rebuild: nothing is lost or doubled",
        )  # fmt: skip
    return found


def table_handover(warehouse: Warehouse, folder: Path, *, keep_history: KeepHistory) -> int:
    """The version of table `events` up to which it is history: as recorded in `folder`, else the current one."""
    recorded = read_record(folder, _RECORD)
    if recorded is not None:
        return int(recorded["events_version"])
    version = warehouse.version(EVENTS)
    keep_history(warehouse.read(EVENTS, version=version), folder)
    write_record(folder, _RECORD, {"events_version": version})
    return version


def starting_offsets(topic: str, offsets: dict[int, int]) -> str:
    """The value of Spark's option startingOffsets."""
    return json.dumps({topic: {str(number): offset for number, offset in offsets.items()}})


def in_order(warehouse: Warehouse, events: DataFrame) -> DataFrame:
    """`events` without those that were refused at first and corrected later: that such a record is in the table does
    not mean that the records before it are."""
    if not warehouse.exists(QUARANTINE):
        return events
    refused = warehouse.read(QUARANTINE).select("source", *PLACE)
    return events.join(refused, on=["source", *PLACE], how="left_anti")


def next_offsets(events: DataFrame, *, source: str, topic: str, partitions: int) -> dict[int, int]:
    """Per partition of the topic the offset after the last of its events (`events` as `in_order` gives them); EARLIEST
    for a partition without events.

    All records before that offset are in a table, since an intake writes the refused ones first.
    """
    name = re.compile(re.escape(topic) + r"-(\d+)")
    mine = events.where((F.col("source") == source) & F.startswith("source_partition", F.lit(f"{topic}-")))
    newest = mine.groupBy("source_partition").agg(F.max("source_offset").alias("newest")).collect()
    found = {name.fullmatch(row["source_partition"]): row["newest"] for row in newest}
    return {**dict.fromkeys(range(partitions), EARLIEST), **{int(m[1]): last + 1 for m, last in found.items() if m}}


def live_events(arrived: DataFrame, event_names: Sequence[str]) -> DataFrame:
    """STREAM_EVENT of the sound records among `intake.arrivals`."""
    return stream_events(arrived.where("is_sound"), event_names)


def live_rows(
    session: SparkSession, warehouse: Warehouse, *, after: int, event_names: Sequence[str], most_files: int
) -> DataFrame:
    """STREAM_EVENT of the rows appended to table `events` after a version."""
    rows = appended_rows(session, warehouse, EVENTS, after=after, most_files=most_files)
    return stream_events(rows, event_names)
