"""The result of an ingest, for people, for quality_metrics and for later steps."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from freshet.cleaning.outliers import Limits
from freshet.cleaning.parameters import CleaningParameters
from freshet.contracts import EVENTS, ITEMS_HISTORY, QUARANTINE, TableContract
from freshet.sources.rules import SourceMapping


@dataclass(frozen=True)
class IngestReport:
    """Counts of one ingest; raw_rows = accepted + sum(refused), checked against the written tables.

    `refused` is by reason code, most frequent first. `items` is the number of items in items_history, `replaced` the
    number of earlier rows of the same files. `limits` are those outside which quantity and price are flagged. `notes`
    name missing parts of the data and what should be checked.
    """

    source: str
    files: int
    raw_rows: int
    accepted: int
    refused: dict[str, int]
    by_event_name: dict[str, int]
    flags: dict[str, int]
    items: int
    replaced: int
    limits: dict[str, Limits]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class WrittenCounts:
    """Counts of an input's rows in the written tables, most frequent first; `examples` has a message per reason."""

    by_event_name: dict[str, int]
    flags: dict[str, int]
    refused: dict[str, int]
    examples: dict[str, str]

    @property
    def accepted(self) -> int:
        return sum(self.by_event_name.values())

    @property
    def all_refused(self) -> int:
        return sum(self.refused.values())


def by_frequency(counts: Counter[str | None]) -> dict[str, int]:
    """The counts of texts (nulls are ignored), most frequent first, ties in alphabetical order."""
    known = [(text, count) for text, count in counts.items() if text is not None]
    return dict(sorted(known, key=lambda pair: (-pair[1], pair[0])))


def ingest_notes(
    mapping: SourceMapping, counts: WrittenCounts, has_catalogue: bool, params: CleaningParameters
) -> tuple[str, ...]:
    """What the user should know about these data: missing parts and many refused records."""
    notes = []
    if mapping.text("item_id") is None:
        notes.append("the source has no items: no recommendations can be made from it")
    if mapping.number("price") is None and mapping.number("line_value") is None:
        notes.append("the source has no prices: no amounts of money can be computed")
    if mapping.catalogue is not None and not has_catalogue:
        notes.append(f"the catalogue {mapping.catalogue.file} is not next to the input: items have no names from it")
    if len(counts.by_event_name) == 1:
        notes.append(f"the only kind of event is {next(iter(counts.by_event_name))}")
    if counts.flags.get("bot"):
        notes.append(f"{counts.flags['bot']:,} events are flagged bot, {_left_out(params)}")
    share = counts.all_refused / max(counts.all_refused + counts.accepted, 1)
    if share > params.warn_refused_share:
        worst = next(iter(counts.refused))
        notes.append(f"{share:.0%} of the records were refused, most for {worst}: {counts.examples[worst]}")
    return tuple(notes)


def _left_out(params: CleaningParameters) -> str:
    return (
        f"of shoppers with more than {params.bot_events_per_day:,} on a day: they are left out of histories, features, "
        "training and popularity"
    )


def quality_rows(report: IngestReport, now: datetime, params: CleaningParameters) -> list[dict[str, Any]]:
    """Rows of QUALITY_METRICS: counts by reason, event name and flag, and the limits of outliers.

    Checks are named <source>/<kind>/<what>, so that sources of one home do not overwrite each other's.
    """

    def row(table: TableContract, check: str, value: float, detail: str | None = None) -> dict[str, Any]:
        name = f"{report.source}/{check}"
        return {"checked_at": now, "table": table.name, "check": name, "value": float(value), "detail": detail}

    rows = [
        row(EVENTS, "raw_rows", report.raw_rows, "accepted and refused records"),
        row(EVENTS, "accepted", report.accepted),
        row(QUARANTINE, "refused", sum(report.refused.values())),
        row(ITEMS_HISTORY, "items", report.items),
    ]
    rows += [row(QUARANTINE, f"refused/{reason}", count) for reason, count in report.refused.items()]
    rows += [row(EVENTS, f"event_name/{name}", count) for name, count in report.by_event_name.items()]
    for flag, count in report.flags.items():
        limit = report.limits.get(flag.removeprefix("outlier_"))
        detail = None if limit is None else f"outside {limit.low:g} to {limit.high:g}"
        detail = _left_out(params) if flag == "bot" else detail
        rows.append(row(EVENTS, f"flag/{flag}", count, detail))
    return rows
