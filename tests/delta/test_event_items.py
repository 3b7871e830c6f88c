"""Items that events speak of: Arrow's look at files against Spark's condition for what counts as taste."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from freshet.contracts import EVENTS
from freshet.contracts.shoppers import counts_as_taste
from freshet.tables.format.data_files import NotPlainError
from freshet.tables.lookups.event_items import EventItems
from freshet.tables.maintenance import operations
from freshet.tables.warehouse import Warehouse
from tests.factories import event, events_frame, moment

pytestmark = pytest.mark.delta

SINCE = moment("2026-02-01")

LATER = "2026-02-05"

ROWS = [
    event(item="early", at="2026-01-31 23:59:59.999999"),
    event(item="first", at="2026-02-01"),
    event(item="again", at="2026-02-02"),
    event(item="again", at="2026-02-03", user="u2"),
    event(item="visited", at=LATER, user=None, anonymous_id="cookie"),
    event(item="nobodys", at=LATER, user=None),
    event(item=None, at=LATER),
    event(item="postage", at=LATER, flags=["late", "non_product"]),
    event(item="late", at=LATER, flags=["late"]),
    event(item="seen by a machine", at=LATER, flags=["late", "bot"]),
    event(item="postage", at=LATER, flags=["non_product"]),
    event(item="sometimes a product", at=LATER, flags=["non_product"]),
    event(item="sometimes a product", at=LATER),
]


def of(warehouse: Warehouse) -> EventItems:
    return EventItems(Path(warehouse.path(EVENTS)), SINCE)


@contextmanager
def files_read(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    read: list[str] = []
    real = pq.ParquetFile

    def noted(path: Path, **options: object) -> pq.ParquetFile:
        read.append(Path(path).name)
        return real(path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(pq, "ParquetFile", noted)
        yield read


def test_they_are_those_of_what_counts_as_taste(spark: SparkSession, warehouse: Warehouse) -> None:
    rows = events_frame(spark, ROWS)
    warehouse.replace(rows, EVENTS)
    found = sorted(of(warehouse).ids().to_pylist())
    assert found == ["again", "first", "late", "sometimes a product", "visited"]
    counted = rows.where(counts_as_taste()).where(rows.event_time >= SINCE).select("item_id").distinct()
    assert found == sorted(row.item_id for row in counted.collect())


def test_a_second_look_reads_what_has_come_since(
    spark: SparkSession, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse.create(EVENTS)
    items = of(warehouse)
    assert items.ids().to_pylist() == []
    for item in ("a", "b", "c"):
        warehouse.append(events_frame(spark, [event(item=item, at="2026-02-02", event_id=item)]).coalesce(1), EVENTS)
        with files_read(monkeypatch) as read:
            assert item in items.ids().to_pylist()
        assert len(read) == 1
    with files_read(monkeypatch) as read:
        assert sorted(items.ids().to_pylist()) == ["a", "b", "c"]
    assert read == []
    # Packing changes files, not what they say.
    assert operations.pack(warehouse, EVENTS, target_mb=64, from_files=2) == 3
    assert sorted(items.ids().to_pylist()) == ["a", "b", "c"]


def test_items_of_rows_that_were_replaced_are_gone(spark: SparkSession, warehouse: Warehouse) -> None:
    warehouse.replace(events_frame(spark, [event(item="misspelt", at="2026-02-02")]), EVENTS)
    items = of(warehouse)
    assert items.ids().to_pylist() == ["misspelt"]
    warehouse.replace(events_frame(spark, [event(item="mended", at="2026-02-02")]), EVENTS)
    assert items.ids().to_pylist() == ["mended"]


@pytest.mark.parametrize(
    ("newest", "found"), [("2026-01-31 23:59:59.999999", []), ("2026-02-01 00:00:00.000700", ["new"])]
)
def test_files_of_earlier_events_alone_are_not_opened(
    spark: SparkSession, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, newest: str, found: list[str]
) -> None:
    """The log tells both times without what is shorter than a millisecond: the second as if it were too early."""
    warehouse.replace(events_frame(spark, [event(item="new", at=newest)]).coalesce(1), EVENTS)
    items = EventItems(Path(warehouse.path(EVENTS)), moment("2026-02-01 00:00:00.000500"))
    with files_read(monkeypatch) as opened:
        assert items.ids().to_pylist() == found
    assert len(opened) == len(found)


def test_a_table_with_more_than_files_is_reported(spark: SparkSession, warehouse: Warehouse) -> None:
    warehouse.replace(events_frame(spark, ROWS), EVENTS)
    spark.sql(f"ALTER TABLE delta.`{warehouse.path(EVENTS)}` SET TBLPROPERTIES ('delta.enableDeletionVectors' = true)")
    with pytest.raises(NotPlainError):
        of(warehouse).ids()
