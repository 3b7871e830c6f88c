"""Every record ends in exactly one of events and quarantine: which one, and why."""

from datetime import datetime

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from freshet.cleaning.item_attributes import ITEM_COLUMNS
from freshet.cleaning.parsing import PLACE, constant_columns
from freshet.cleaning.problems import PROBLEM_TYPE, problem
from freshet.cleaning.rules import SourceMapping
from freshet.cleaning.source import EVENTS_REPEAT
from freshet.contracts import EVENTS, QUARANTINE
from freshet.contracts.events import SCHEMA_VERSION
from freshet.contracts.inputs import BROKEN_RECORD

EVENT_KEY = ("event_id", "item_position")
VERDICT = ("reason_code", "field", "message")


def judged(records: DataFrame, mapping: SourceMapping, *, stored: DataFrame | None) -> DataFrame:
    """`parsed` records with a verdict: reason_code, field and message, beside EVENTS columns and ITEM_COLUMNS.

    Columns that are the same for all records of the source are left out; `accepted` puts them back. reason_code is
    null for accepted records. Of sound records with one event id and item position the first by source order is
    accepted; the others are `duplicate` (all source columns equal) or `resent`. `stored` holds the keys (event_id,
    item_position) of events that came with other files: those are `resent` too; None when there are none.
    """
    verdict = F.try_element_at("problems", F.lit(1))
    message = F.array_join(F.transform("problems", lambda one: one["message"]), "; ")
    constants = constant_columns(mapping)
    columns = [name for name in (*EVENTS.column_names, *ITEM_COLUMNS) if name not in constants]
    told = records
    if mapping.repeats != EVENTS_REPEAT or mapping.text("event_id") is not None:
        told = _with_repeat_problems(records, own_ids=mapping.text("event_id") is not None)
    if stored is not None:
        told = _with_stored_problems(told, stored)
    return told.select(
        *columns, verdict["reason_code"].alias("reason_code"), verdict["field"].alias("field"), message.alias("message")
    )


def _with_repeat_problems(records: DataFrame, *, own_ids: bool) -> DataFrame:
    # A refused record must not stand in the way of its corrected version: sound ones come first.
    order = [F.size("problems") > 0, *[F.col(name) for name in PLACE]]
    same_event = Window.partitionBy(*EVENT_KEY).orderBy(*order)
    numbered = records.withColumn("_nth", F.row_number().over(same_event))
    text = "the same record stands earlier in the source, equal in every column"
    if not own_ids:
        # The id is a hash of the record: equal ids are equal records.
        return _with_problem(numbered, F.col("_nth") > 1, problem(F.lit(True), "duplicate", None, text))
    so_far = same_event.rowsBetween(Window.unboundedPreceding, Window.currentRow)
    equal = F.col("record_hash") == F.first("record_hash").over(so_far)
    numbered = numbered.withColumn("_equal", equal)
    repeat = F.coalesce(
        problem(F.col("_equal"), "duplicate", None, text),
        problem(~F.col("_equal"), "resent", "event_id", "an earlier record of the source has this event id"),
    )
    return _with_problem(numbered, F.col("_nth") > 1, repeat)


def _with_stored_problems(records: DataFrame, stored: DataFrame) -> DataFrame:
    known = stored.select(*EVENT_KEY).distinct().withColumn("_stored", F.lit(True))
    resent = problem(F.lit(True), "resent", "event_id", "this event came before with another file")
    joined = records.join(known, on=list(EVENT_KEY), how="left")
    return _with_problem(joined, F.coalesce("_stored", F.lit(False)), resent)


def _with_problem(records: DataFrame, condition: Column, one: Column) -> DataFrame:
    """Adds a problem to sound records only: what is refused anyway keeps its first reason."""
    added = F.array(one).cast(f"array<{PROBLEM_TYPE}>")
    return records.withColumn(
        "problems", F.when(condition & (F.size("problems") == 0), added).otherwise(F.col("problems"))
    )


def accepted(records: DataFrame, mapping: SourceMapping) -> DataFrame:
    """The accepted of `judged` records: EVENTS columns and ITEM_COLUMNS."""
    whole = records.where("reason_code is null").withColumns(constant_columns(mapping))
    return whole.select(*EVENTS.column_names, *ITEM_COLUMNS)


def quarantined(
    records: DataFrame, raw: DataFrame, mapping: SourceMapping, *, first_seen: datetime, few: bool
) -> DataFrame:
    """The refused of `judged` records as QUARANTINE rows, each with its raw record as JSON of all source columns.

    `raw` is the frame that the records were parsed from; a line that could not be read is in `_broken_record`. With
    `few` refused records they are sent to every worker, and no other record is turned into JSON.
    """
    names = [name for name in raw.columns if name not in PLACE]
    shown = [F.col(f"`{name}`") for name in names if name != BROKEN_RECORD]
    as_json = F.to_json(F.struct(*shown), {"ignoreNullFields": "false"})
    if BROKEN_RECORD in names:
        as_broken = F.to_json(F.struct(F.col(BROKEN_RECORD)))
        as_json = F.when(F.col(BROKEN_RECORD).isNotNull(), as_broken).otherwise(as_json)
    refused = records.where("reason_code is not null").select(*PLACE, *VERDICT)
    joined = raw.join(F.broadcast(refused) if few else refused, on=list(PLACE), how="inner")
    return joined.select(
        F.lit(mapping.name).alias("source"), *PLACE, as_json.alias("raw"), *VERDICT,
        F.lit(SCHEMA_VERSION).alias("schema_version"),
        F.lit(first_seen).cast("timestamp").alias("first_seen"),
        F.lit("refused").alias("status"),
        F.lit(None).cast("string").alias("replayed_as"),
    ).select(*QUARANTINE.column_names)  # fmt: skip
