"""Frames for tests: a test names the values it is about, the contract fills in the rest."""

from datetime import datetime, timedelta
from typing import Any, cast

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import (
    ArrayType,
    BooleanType,
    DataType,
    FractionalType,
    IntegralType,
    MapType,
    StringType,
    StructType,
    TimestampType,
)

from freshet.contracts import EVENTS, Column, TableContract

SOME_MOMENT = datetime(2020, 1, 1)

Row = dict[str, Any]


def frame(spark: SparkSession, contract: TableContract, rows: list[Row]) -> DataFrame:
    """A frame of `contract` with one row per dict of overrides; KeyError for a column the contract lacks.

    Columns not named: key columns are numbered so that keys differ, required ones take a sound value, the
    rest is null. Texts given for times are read as ISO times in UTC.
    """
    return local_frame(spark, contract.schema, [_filled(contract, row, n) for n, row in enumerate(rows)])


def local_frame(spark: SparkSession, schema: StructType | str, rows: list[Row]) -> DataFrame:
    """A frame that lies in the plan itself (one partition, no Python worker): the quickest for Spark to read.

    Columns absent from a row are null.
    """
    wanted = cast(StructType, StructType.fromDDL(schema)) if isinstance(schema, str) else schema
    values = [{field.name: _native(row.get(field.name), field.dataType) for field in wanted} for row in rows]
    return spark.createDataFrame(pa.Table.from_pylist(values, schema=to_arrow_schema(wanted, timezone="UTC")), wanted)


def event(
    name: str = "purchase",
    user: str | None = "u1",
    item: str | None = "i1",
    at: str | datetime = SOME_MOMENT,
    **other: Any,
) -> Row:
    """Overrides for one row of EVENTS: received when it happened, one piece, unless `other` says otherwise.

    `order` and `received` are short for transaction_id and received_time.
    """
    row: Row = {
        "event_name": name,
        "user_id": user,
        "item_id": item,
        "event_time": at,
        "quantity": 1.0,
        "flags": [],
    }
    row["transaction_id"] = other.pop("order", None)
    row["received_time"] = other.pop("received", at)
    return {**row, **other}


def events_frame(spark: SparkSession, rows: list[Row]) -> DataFrame:
    """`frame` of EVENTS."""
    return frame(spark, EVENTS, rows)


def moment(text: str) -> datetime:
    """An ISO time without a zone, taken as UTC: `moment("2020-01-31 12:00")`."""
    return datetime.fromisoformat(text)


def _filled(contract: TableContract, row: Row, number: int) -> Row:
    unknown = sorted(set(row) - set(contract.column_names))
    if unknown:
        raise KeyError(f"{contract.name} has no columns {', '.join(unknown)}")
    sound = {column.name: _sound_value(column, column.name in contract.key, number) for column in contract.columns}
    return {**sound, **row}


def _sound_value(column: Column, is_key: bool, number: int) -> Any:
    if not (column.required or is_key):
        return None
    if column.allowed:
        return column.allowed[0]
    lowest = 1 if column.minimum is None else column.minimum
    step = number if is_key else 0
    match column.type:
        case StringType():
            return f"{column.name}-{step}" if is_key else column.name
        case TimestampType():
            return SOME_MOMENT
        case IntegralType():
            return int(lowest) + step
        case FractionalType():
            return float(lowest)
        case BooleanType():
            return True
        case ArrayType():
            return []
        case MapType():
            return {}
    raise TypeError(f"no sound value is known for {column.type.simpleString()}")


def _native(value: Any, wanted: DataType) -> Any:
    """What Arrow takes: maps as pairs, times as datetimes."""
    if isinstance(wanted, MapType) and isinstance(value, dict):
        return list(value.items())
    if isinstance(wanted, TimestampType) and isinstance(value, str):
        return datetime.fromisoformat(value)
    return value


def days(count: float) -> timedelta:
    """Short for timedelta(days=count)."""
    return timedelta(days=count)
