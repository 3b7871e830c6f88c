"""The progress of a stream, read from `stream_metrics` without Spark."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable, QueryBuilder

from freshet.contracts import STREAM_METRICS

_TOTALS = """
SELECT query_id, job, COUNT(*) AS batches, SUM(input) AS input, SUM(accepted) AS accepted, SUM(lists) AS lists,
       MAX(finished_at) AS finished_at, MAX(batch_id) AS newest
FROM figures GROUP BY query_id, job ORDER BY finished_at DESC
"""


@dataclass(frozen=True)
class JobProgress:
    """A job's newest query: its newest micro-batch as a row of stream_metrics, and sums over those that are kept."""

    job: str
    newest: dict[str, Any]
    batches: int
    input: int
    accepted: int
    lists: int


def stream_progress(warehouse: Path) -> list[JobProgress]:
    """One per job that has ever run in this home, by name. Empty if there is no table."""
    path = warehouse / STREAM_METRICS.name
    if not any((path / "_delta_log").glob("*.json")):
        return []
    table = DeltaTable(str(path.resolve()))
    found: dict[str, JobProgress] = {}
    for total in _rows(table, _TOTALS):
        if total["job"] not in found:
            query = str(total["query_id"]).replace("'", "''")
            condition = f"query_id = '{query}' AND batch_id = {total['newest']}"
            # A table that an earlier release has written may lack columns.
            newest = (
                dict.fromkeys(STREAM_METRICS.column_names) | _rows(table, f"SELECT * FROM figures WHERE {condition}")[0]
            )
            found[total["job"]] = JobProgress(
                total["job"], newest, total["batches"],
                *(int(total[name] or 0) for name in ("input", "accepted", "lists")),
            )  # fmt: skip
    return [found[job] for job in sorted(found)]


def _rows(table: DeltaTable, query: str) -> list[dict[str, Any]]:
    answer = QueryBuilder().register("figures", table).execute(query).read_all()
    rows: list[dict[str, Any]] = pa.table(answer).to_pylist()
    return rows
