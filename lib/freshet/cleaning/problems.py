"""Why a record is refused: a reason code for programs, a field, and a message that a person understands."""

from dataclasses import dataclass
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from freshet.contracts.inputs import TOO_LARGE

REASONS = {
    "broken_record": "the line cannot be read in the source's format",
    "too_large": "a record, or an id in it, too large to be an event",
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
    "resent": "an event that is already stored",
}
"""All reason codes but those of a mapping's own requirements: missing_FIELD, zero_FIELD, required_FIELD."""

PROBLEM_TYPE = "struct<reason_code:string,field:string,message:string>"


@dataclass(frozen=True)
class Check:
    """A problem of a record: a condition (null counts as false), and the reason and message where it is true."""

    condition: Column
    reason: str | Column
    field: str | None
    message: str | Column

    def problem(self) -> Column:
        """A problem struct where the condition is true, null elsewhere."""
        return problem(self.condition, self.reason, self.field, self.message)


def has_problem(checks: list[Check]) -> Column:
    """Whether a record has any of the problems; never null."""
    return F.coalesce(reduce(lambda one, other: one | other, [check.condition for check in checks]), F.lit(False))


def problems_of(checks: list[Check]) -> Column:
    """The problems of a record as an array. Almost every record has none, and then only conditions are evaluated."""
    every = F.array_compact(F.array(*[check.problem() for check in checks])).cast(f"array<{PROBLEM_TYPE}>")
    return F.when(has_problem(checks), every).otherwise(F.array().cast(f"array<{PROBLEM_TYPE}>"))


def verdict() -> dict[str, Column]:
    """reason_code, field and message from column `problems`: the most serious problem, and the messages of all; null
    for a sound record."""
    first = F.try_element_at("problems", F.lit(1))
    messages = F.array_join(F.transform("problems", lambda one: one["message"]), "; ")
    return {
        "reason_code": first["reason_code"],
        "field": first["field"],
        # By the array that is there already: is_sound would evaluate all conditions once more.
        "message": F.when(F.size("problems") > 0, messages),
    }


def refused_as_too_large(records: DataFrame, is_large: Column) -> DataFrame:
    """Records with `problems` and `is_sound`; for records that are too large to be read this is the only problem."""
    large = F.array(problem(F.lit(True), "too_large", None, TOO_LARGE)).cast(f"array<{PROBLEM_TYPE}>")
    return records.withColumns(
        {
            "problems": F.when(is_large, large).otherwise(F.col("problems")),
            "is_sound": F.col("is_sound") & ~is_large,
        }
    )


def problem(condition: Column, reason: str | Column, field: str | None, message: str | Column) -> Column:
    """A problem struct where the condition is true, null elsewhere."""
    code, text = (F.lit(part) if isinstance(part, str) else part for part in (reason, message))
    return F.when(
        condition,
        F.struct(code.alias("reason_code"), F.lit(field).cast("string").alias("field"), text.alias("message")),
    )


def found(intro: str, value: Column) -> Column:
    """A message that quotes the value found, cut to a length that fits a line."""
    return F.concat(F.lit(f"{intro}: '"), F.coalesce(F.left(value, F.lit(80)), F.lit("")), F.lit("'"))
