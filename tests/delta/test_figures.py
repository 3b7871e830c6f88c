"""Figures of tables without Spark, against rows that Spark has written."""

from collections import Counter
from datetime import datetime

import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable, Schema
from pyspark.sql import SparkSession
from pyspark.sql.types import StructType

from freshet.contracts import EVENTS, QUARANTINE
from freshet.core.errors import ContractError, StateError
from freshet.tables.lookups.figures import extent, rows_where, smallest_texts, value_counts
from freshet.tables.warehouse import Warehouse
from tests.factories import event, frame

pytestmark = pytest.mark.delta

OURS = pc.field("source_partition").isin(["a.csv", "it's.csv"])


def test_counts_and_extent_are_those_of_the_chosen_rows(spark: SparkSession, warehouse: Warehouse) -> None:
    rows = [
        event("purchase", at=datetime(2020, 1, 1, 0, 0, 0, 7), flags=["late", "bot"], source_partition="a.csv"),
        event("refund", at=datetime(2020, 1, 3, 0, 0, 0, 123456), flags=["late"], source_partition="it's.csv"),
        event("purchase", at=datetime(2020, 1, 2), flags=[], source_partition="a.csv"),
        event("view_item", at=datetime(2021, 1, 1), flags=["late"], source_partition="other.csv"),
    ]
    for part in (rows[:1], rows[1:]):  # several files
        warehouse.append(frame(spark, EVENTS, [{**row, "event_id": str(rows.index(row))} for row in part]), EVENTS)
    counts = value_counts(warehouse, EVENTS, ["event_name", "flags"], OURS)
    assert counts == {"event_name": Counter(purchase=2, refund=1), "flags": Counter(late=2, bot=1)}
    assert value_counts(warehouse, EVENTS, ["user_id"]) == {"user_id": Counter(u1=4)}
    assert rows_where(warehouse, EVENTS, OURS) == 3
    # To the microsecond, which Delta's own statistics do not tell.
    span = (datetime(2020, 1, 1, 0, 0, 0, 7), datetime(2020, 1, 3, 0, 0, 0, 123456))
    assert extent(warehouse, EVENTS, "event_time", OURS) == span
    assert extent(warehouse, EVENTS, "event_time", pc.field("source") == "nobody's") is None


def test_smallest_text_of_each_value_over_all_files(spark: SparkSession, warehouse: Warehouse) -> None:
    for offset, (reason, message) in enumerate([("r", "b"), ("s", "z"), ("r", "a"), ("r", "c")]):
        row = {"source_offset": offset, "reason_code": reason, "message": message, "source_partition": "a.csv"}
        warehouse.append(frame(spark, QUARANTINE, [row]), QUARANTINE)
    assert smallest_texts(warehouse, QUARANTINE, "message", by="reason_code", where=OURS) == {"r": "a", "s": "z"}


def test_missing_table_has_no_rows_and_a_changed_one_is_reported(warehouse: Warehouse) -> None:
    assert rows_where(warehouse, EVENTS, OURS) == 0
    with pytest.raises(StateError, match="does not exist yet"):
        extent(warehouse, EVENTS, "event_time")
    changed = StructType([field for field in EVENTS.schema if field.name != "event_time"])
    DeltaTable.create(warehouse.path(EVENTS), schema=Schema.from_json(changed.json()))
    with pytest.raises(ContractError, match=r"event_time .* is missing"):
        extent(warehouse, EVENTS, "event_time")
