"""Raw records of a stream to typed ones with a verdict, by the same rules as files."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from freshet.cleaning.parameters import CleaningParameters
from freshet.cleaning.parsing import PLACE, parsed
from freshet.cleaning.problems import PROBLEM_TYPE, problem
from freshet.cleaning.rules import SourceMapping
from freshet.contracts import EVENTS, QUARANTINE
from freshet.contracts.events import SCHEMA_VERSION
from freshet.streaming.records import CARRIED, MOST_RECORD_CHARACTERS

STANDS, RESENT = "stands", "resent"
"""What may be told of a record: it is in a table already; an earlier record has its event id."""


def arrivals(raw: DataFrame, mapping: SourceMapping, params: CleaningParameters) -> DataFrame:
    """EVENTS columns, problems and CARRIED of streaming records (streaming.records).

    A record that does not say when it was received was when the broker had it. Times after the micro-batch's own, by
    more than the tolerance, are problems. Flags that need many records to be known (outliers, bots) are the batch's.
    """
    read = parsed(
        raw, mapping, now=F.col("began"), params=params, arrived=F.col("arrived"), carried=CARRIED
    )  # fmt: skip
    limit = f"larger than {MOST_RECORD_CHARACTERS:,} characters; its beginning is kept"
    large = F.array(problem(F.lit(True), "too_large", None, limit)).cast(f"array<{PROBLEM_TYPE}>")
    return read.withColumn("problems", F.when(F.col("too_large"), large).otherwise(F.col("problems")))


def is_sound() -> Column:
    """True for records of `arrivals` without a problem."""
    return F.size("problems") == 0


def facts(records: DataFrame) -> DataFrame:
    """What the repeats of `arrivals` are found by: place, reason_code (null: sound), two hashes of the key, times."""
    key = ("event_id", "item_position")
    return records.select(
        *PLACE, F.try_element_at("problems", F.lit(1))["reason_code"].alias("reason_code"),
        F.xxhash64(*key).alias("first"), F.xxhash64(F.lit("second"), *key).alias("second"),
        "received_time", "event_time",
    )  # fmt: skip


def verdicts(records: DataFrame, told: DataFrame | None) -> DataFrame:
    """EVENTS columns with raw, began, reason_code, field and message; the last three are null for accepted records.

    `told` is (source_partition, source_offset, told) for records of which something is to be told: those that STAND
    are left out. None when there are none.
    """
    if told is None:
        judged = records
    else:
        joined = records.join(F.broadcast(told), on=list(PLACE), how="left")
        again = problem(F.col("told") == RESENT, "resent", "event_id", "an earlier record has this event id")
        added = F.array(again).cast(f"array<{PROBLEM_TYPE}>")
        problems = F.when((F.col("told") == RESENT) & is_sound(), added).otherwise(F.col("problems"))
        judged = joined.where(F.coalesce(F.col("told") != STANDS, F.lit(True))).withColumn("problems", problems)
    verdict = F.try_element_at("problems", F.lit(1))
    message = F.array_join(F.transform("problems", lambda one: one["message"]), "; ")
    return judged.select(
        *EVENTS.column_names, F.when(~is_sound(), F.col("raw")).alias("raw"), "began",
        verdict["reason_code"].alias("reason_code"), verdict["field"].alias("field"),
        F.when(~is_sound(), message).alias("message"),
    )  # fmt: skip


def accepted(judged: DataFrame) -> DataFrame:
    """The rows of `verdicts` that are events."""
    return judged.where("reason_code is null").select(*EVENTS.column_names)


def refused(judged: DataFrame) -> DataFrame:
    """The rows of `verdicts` that are quarantined."""
    return (
        judged.where("reason_code is not null")
        .withColumn("schema_version", F.lit(SCHEMA_VERSION))
        .withColumn("first_seen", F.col("began"))
        .withColumn("status", F.lit("refused"))
        .withColumn("replayed_as", F.lit(None).cast("string"))
        .select(*QUARANTINE.column_names)
    )
