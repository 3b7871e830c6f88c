"""Records of JSON lines in a folder, and an intake of all that lies there now."""

import json
from datetime import timedelta
from pathlib import Path

from pyspark.sql import SparkSession

from freshet.cleaning.source_columns import event_columns
from freshet.contracts import EVENTS, QUARANTINE
from freshet.runs.settings import load_settings
from freshet.service.intake.arrivals import arrivals
from freshet.service.intake.event_intake import EventIntake, IntakeRules
from freshet.service.lists.query import stream_session
from freshet.service.streams.records import file_records
from freshet.sources.rules import SourceMapping
from freshet.tables.warehouse import Warehouse
from tests.factories import moment

WALL = moment("2026-03-01")


def record(number: int, **changes: object) -> dict[str, object]:
    row: dict[str, object] = {
        "event_id": f"e{number}", "event_name": "view_item", "event_time": f"2026-02-01T10:{number:02}:00Z",
        "user_id": f"u{number % 3}", "item_id": f"i{number}", "properties": {"page": str(number)},
    }  # fmt: skip
    return {**row, **changes}


def lines(*records: object) -> list[bytes]:
    return [one if isinstance(one, bytes) else json.dumps(one).encode() for one in records]


def put(folder: Path, name: str, content: list[bytes]) -> None:
    """A file of lines, moved in whole as a shop would."""
    folder.mkdir(exist_ok=True)
    part = folder / f".{name}"
    part.write_bytes(b"\n".join(content) + b"\n")
    part.rename(folder / name)


def taken(
    spark: SparkSession, tables: Warehouse, mapping: SourceMapping, folder: Path, checkpoint: Path,
    *, most_collected: int = 1000, intake: EventIntake | None = None, files: int = 1,
) -> None:  # fmt: skip
    """Everything that lies in `folder` now, in micro-batches of `files` files."""
    rules = IntakeRules(mapping.name, timedelta(hours=1), most_collected, lambda: WALL)
    intake = intake or EventIntake(tables.folder, "q", rules)
    session = stream_session(spark, load_settings().stream)
    raw = file_records(session, event_columns(mapping), folder=folder, files_per_trigger=files)
    stream = arrivals(raw, mapping, load_settings().cleaning)
    query = (
        stream.writeStream.option("checkpointLocation", str(checkpoint))
        .trigger(availableNow=True).foreachBatch(intake).start()
    )  # fmt: skip
    try:
        query.awaitTermination()
    except Exception:
        if intake.failure is None:
            raise
        raise intake.failure from None


def events_of(tables: Warehouse) -> list[tuple[str, str, int]]:
    rows = tables.read(EVENTS).select("event_id", "source_partition", "source_offset").collect()
    return sorted(tuple(row) for row in rows)


def refused_of(tables: Warehouse) -> list[tuple[str, int, str]]:
    rows = tables.read(QUARANTINE).select("source_partition", "source_offset", "reason_code").collect()
    return sorted(tuple(row) for row in rows)
