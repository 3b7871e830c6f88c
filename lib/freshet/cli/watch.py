"""A live view of the stream in the terminal, read from its tables."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.live import Live
from rich.table import Table

from freshet.cli.output import Output
from freshet.tables.lookups.stream_progress import JobProgress, stream_progress

EVERY_SECONDS = 1.0


def watch_stream(console: Output, warehouse: Path, *, pause: Callable[[float], None] = time.sleep) -> None:
    """Shows the state of the stream, updated every second, until Ctrl-C."""
    try:
        with Live(view(stream_progress(warehouse), _now()), console=console, auto_refresh=False) as live:
            while True:
                pause(EVERY_SECONDS)
                live.update(view(stream_progress(warehouse), _now()), refresh=True)
    except KeyboardInterrupt:
        return


def view(jobs: list[JobProgress], now: datetime) -> Table:
    """A column per job: its newest micro-batch, and sums over the micro-batches that are kept."""
    table = Table(title="Stream (Ctrl-C ends this view)", title_justify="left")
    table.add_column("")
    for job in jobs:
        table.add_column(job.job, justify="right")
    if not jobs:
        table.add_row("no micro-batch has finished here yet")
        return table
    for title, shown in _LINES.items():
        table.add_row(title, *[shown(job, now) for job in jobs])
    return table


def _now() -> datetime:
    return datetime.now(UTC)


def _newest(column: str, form: str = "{:,}") -> Callable[[JobProgress, datetime], str]:
    return lambda job, now: _formatted(job.newest[column], form)


def _formatted(value: Any, form: str) -> str:
    return "-" if value is None else form.format(value)


def _refused(job: JobProgress, now: datetime) -> str:
    reasons = dict(job.newest["quarantined"] or ())
    return ", ".join(f"{count:,} {reason}" for reason, count in sorted(reasons.items())) or "-"


_LINES: dict[str, Callable[[JobProgress, datetime], str]] = {
    "micro-batch": _newest("batch_id"),
    "ended, s ago": lambda job, now: f"{max(0.0, (now - job.newest['finished_at']).total_seconds()):,.0f}",
    "event clock": _newest("event_clock", "{:%Y-%m-%d %H:%M:%S}"),
    "records in": _newest("input"),
    "accepted": _newest("accepted"),
    "refused": _refused,
    "shoppers touched": _newest("touched_shoppers"),
    "lists": _newest("lists"),
    "unknown items": _newest("unknown_items"),
    "shoppers in the state": _newest("state_shoppers"),
    "records waiting": _newest("backlog"),
    "latency p50, s": _newest("latency_p50_s", "{:.2f}"),
    "latency p95, s": _newest("latency_p95_s", "{:.2f}"),
    "seconds": _newest("seconds", "{:.2f}"),
    "model": _newest("model_version", "{}"),
    "micro-batches kept": lambda job, now: f"{job.batches:,}",
    "records in them": lambda job, now: f"{job.input:,}",
    "lists in them": lambda job, now: f"{job.lists:,}",
}
