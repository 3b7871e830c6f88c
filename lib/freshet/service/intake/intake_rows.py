"""Rows that every intake writes, of events or of items: refused records, and the figures of a micro-batch."""

from collections import Counter
from datetime import datetime
from typing import Any

import pyarrow as pa

from freshet.contracts import QUARANTINE
from freshet.contracts.events import SCHEMA_VERSION


def refused_rows(records: pa.Table) -> pa.Table:
    """QUARANTINE of refused records (source, source_partition, source_offset, raw, reason_code, field, message,
    began)."""
    made = {
        "schema_version": pa.repeat(SCHEMA_VERSION, records.num_rows),
        "first_seen": records.column("began"),
        "status": pa.repeat("refused", records.num_rows),
        "replayed_as": pa.nulls(records.num_rows, pa.string()),
    }
    columns = [made[name] if name in made else records.column(name) for name in QUARANTINE.column_names]
    return pa.table(columns, names=QUARANTINE.column_names)


def intake_figures(records: int, reasons: Counter[str], *, began: datetime, finished: datetime) -> dict[str, Any]:
    """STREAM_METRICS columns of a micro-batch of `records` records; `reasons` counts the refused ones by reason."""
    return {
        "finished_at": finished,
        "input": records,
        "accepted": records - reasons.total(),
        "quarantined": reasons,
        "touched_shoppers": 0,
        "lists": 0,
        "unknown_items": 0,
        "seconds": (finished - began).total_seconds(),
    }
