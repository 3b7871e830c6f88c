"""Why a record is refused: a reason code for programs, a field, and a message that a person understands."""

from pyspark.sql import Column
from pyspark.sql import functions as F

REASONS = {
    "broken_record": "the line cannot be read in the source's format",
    "too_large": "a record too large to be an event",
    "missing_time": "no event time",
    "bad_time": "a time that no format of the mapping fits",
    "implausible_time": "a time before the earliest plausible date",
    "future_time": "a time after the run's own time",
    "unknown_event": "an event that the mapping gives no GA4 name",
    "missing_item": "no item, although the event is about one",
    "missing_shopper": "neither a customer nor an anonymous id",
    "reserved_user_id": "a customer id that looks like a marked anonymous one",
    "bad_number": "a text where a number is expected",
    "bad_value": "a text where yes or no is expected",
    "negative_price": "a price below 0",
    "negative_quantity": "a quantity below 0 that is no refund",
    "zero_quantity": "a quantity of 0",
    "duplicate": "the same record once more",
    "resent": "an event that is there already",
}
"""All reason codes but those of a mapping's own requirements: missing_FIELD, zero_FIELD, required_FIELD."""

PROBLEM_TYPE = "struct<reason_code:string,field:string,message:string>"


def problem(condition: Column, reason: str, field: str | None, message: Column | str) -> Column:
    """A problem struct where the condition is true, null elsewhere."""
    text = F.lit(message) if isinstance(message, str) else message
    return F.when(
        condition,
        F.struct(F.lit(reason).alias("reason_code"), F.lit(field).cast("string").alias("field"), text.alias("message")),
    )


def found(intro: str, value: Column) -> Column:
    """A message that quotes the value found, cut to a length that fits a line."""
    return F.concat(F.lit(f"{intro}: '"), F.coalesce(F.left(value, F.lit(80)), F.lit("")), F.lit("'"))
