"""What an ingest says of its events, for people and for table quality_metrics."""

from freshet.pipeline.ingestion.ingest_report import IngestReport, WrittenCounts, ingest_notes, quality_rows
from freshet.runs.settings import load_settings
from freshet.sources.mapping import source_mapping
from tests.factories import moment

PARAMS = load_settings().cleaning
VALUES = {
    "name": "shop", "format": "csv", "event_name": "purchase", "time": {"column": "when"},
    "columns": {"user_id": "customer", "item_id": "sku", "price": "price"},
}  # fmt: skip
LEFT_OUT = (
    "of shoppers with more than 5,000 on a day: they are left out of histories, features, training and popularity"
)


def test_events_of_machines_are_counted_and_said_to_be_left_out() -> None:
    counts = WrittenCounts({"view_item": 20_000, "purchase": 9}, {"bot": 12_345, "late": 2}, {}, {})
    mapping = source_mapping(VALUES, [])
    assert ingest_notes(mapping, counts, False, PARAMS) == (f"12,345 events are flagged bot, {LEFT_OUT}",)
    report = IngestReport("shop", 1, 20_009, 20_009, {}, counts.by_event_name, counts.flags, 3, 0, {}, ())
    checks = {row["check"]: (row["value"], row["detail"]) for row in quality_rows(report, moment("2026-01-01"), PARAMS)}
    assert checks["shop/flag/bot"] == (12_345.0, LEFT_OUT)
    assert checks["shop/flag/late"] == (2.0, None)


def test_without_machines_nothing_is_said_of_them() -> None:
    counts = WrittenCounts({"view_item": 20, "purchase": 9}, {"late": 2}, {}, {})
    assert ingest_notes(source_mapping(VALUES, []), counts, False, PARAMS) == ()
