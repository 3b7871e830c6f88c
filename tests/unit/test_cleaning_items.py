"""States of items from events, and their history, on designed data with known answers."""

from datetime import datetime, timedelta

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType

from freshet.cleaning.items import item_states, items_history
from freshet.contracts import EVENTS, ITEMS_HISTORY
from tests.factories import Row, event, frame, local_frame

DAY_0 = datetime(1970, 1, 1) + timedelta(days=30 * 600)
"""Begins a period of 30 days."""

ITEM_COLUMNS = (
    "item_name string, item_category_path string, item_brand string, item_price double, item_available boolean,"
    " item_attributes map<string,string>"
)


def record(day: int, name: str | None, price: float, kind: str = "purchase", item: str = "a", flags: tuple = ()) -> Row:
    row = event(kind, item=item, at=DAY_0 + timedelta(days=day), price=price, flags=list(flags))
    return {**row, "item_name": name}


def events(spark: SparkSession, rows: list[Row]) -> DataFrame:
    schema = StructType([*EVENTS.schema, *StructType.fromDDL(ITEM_COLUMNS)])
    return local_frame(spark, schema, rows)


def states_of(spark: SparkSession, rows: list[Row]) -> dict[tuple[str, int], tuple[object, ...]]:
    """(name, price) of each item and day of its first event in a period."""
    states = item_states(events(spark, rows), state_days=30).collect()
    assert all(row["valid_to"] is None for row in states)
    return {(row["item_id"], (row["valid_from"] - DAY_0).days): (row["name"], row["price"]) for row in states}


def test_state_of_a_period_is_the_most_frequent_text_and_the_lower_median_price(spark: SparkSession) -> None:
    rows = [
        record(1, "Cup", 1.0), record(2, "Cup", 2.0), record(3, "CUP?", 4.0), record(4, "Cup", 3.0),
        record(5, "Cup", 90.0, flags=("outlier_price",)), record(6, "Cup", 80.0, kind="refund"),
        record(31, "Mug", 5.0), record(32, "Cup", 6.0), record(33, "Mug", 7.0),
        record(2, "postage", 1.0, item="p", flags=("non_product",)),
        record(40, None, 8.0, item="b"),
    ]  # fmt: skip
    assert states_of(spark, rows) == {("a", 1): ("Cup", 2.0), ("a", 31): ("Mug", 6.0), ("b", 40): (None, 8.0)}


def test_equally_frequent_texts_are_decided_by_their_order(spark: SparkSession) -> None:
    assert states_of(spark, [record(1, "A", 1.0), record(2, "B", 1.0)]) == {("a", 1): ("B", 1.0)}


def state(day: int, item: str = "a", **values: object) -> Row:
    moment = DAY_0 + timedelta(days=day)
    return {"item_id": item, "valid_from": moment, "known_at": moment, **values}


def history(spark: SparkSession, states: list[Row], stored: DataFrame | None = None) -> list[tuple[object, ...]]:
    """(item, day from, day to, name, price, attributes) in order."""
    rows = items_history(frame(spark, ITEMS_HISTORY, states), stored=stored).orderBy("item_id", "valid_from").collect()
    return [
        (
            row["item_id"], (row["valid_from"] - DAY_0).days, row["valid_to"] and (row["valid_to"] - DAY_0).days,
            row["name"], row["price"], row["attributes"],
        )
        for row in rows
    ]  # fmt: skip


def test_history_has_a_row_only_where_a_state_changes_and_keeps_what_a_record_leaves_out(spark: SparkSession) -> None:
    states = [
        state(0, name="Cup", price=1.0), state(30, name="Cup"), state(60, price=2.0), state(90, name="Cup", price=2.0),
        state(120, name="Cup", price=2.0, attributes={"size": "l"}), state(5, item="b", name="Mug"),
    ]  # fmt: skip
    assert history(spark, states) == [
        ("a", 0, 60, "Cup", 1.0, None), ("a", 60, 120, "Cup", 2.0, None), ("a", 120, None, "Cup", 2.0, {"size": "l"}),
        ("b", 5, None, "Mug", None, None),
    ]  # fmt: skip


def test_states_are_put_into_a_stored_history_where_the_new_one_counts(spark: SparkSession) -> None:
    first = [state(0, name="Cup"), state(30, name="Mug"), state(0, item="b", name="Pot")]
    stored = items_history(frame(spark, ITEMS_HISTORY, first), stored=None)
    assert history(spark, first, stored) == history(spark, first)
    assert history(spark, [state(30, name="Jug"), state(15, name="Cup")], stored) == [
        ("a", 0, 30, "Cup", None, None), ("a", 30, None, "Jug", None, None), ("b", 0, None, "Pot", None, None),
    ]  # fmt: skip
