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


def without_constants(records: DataFrame, mapping: SourceMapping) -> DataFrame:
    """`parsed` records without the columns that are the same for all of them: those need not be kept for each."""
    return records.drop(*constant_columns(mapping))


def repeated_records(records: DataFrame, mapping: SourceMapping) -> DataFrame | None:
    """(source_partition, source_offset, repeat) of the sound records that repeat an earlier one; `repeat` says how.

    Of sound records with one event id and item position the first by source order stands; the others are `duplicate`
    (all source columns equal) or `resent`. None when the mapping lets equal records be events of their own.
    `records` are those of `without_constants`.
    """
    own_ids = mapping.text("event_id") is not None
    if mapping.repeats == EVENTS_REPEAT and not own_ids:
        return None
    keyed = _with_key(records, mapping).select(*EVENT_KEY, *PLACE, "record_hash", _is_sound().alias("sound"))
    # Nearly all keys occur once: only the records of the others are put in order.
    several = keyed.groupBy(*EVENT_KEY).count().where("count > 1").select(*EVENT_KEY)
    crowded = keyed.join(several, on=list(EVENT_KEY), how="left_semi")
    # A refused record must not stand in the way of its corrected version: sound ones come first.
    same_event = Window.partitionBy(*EVENT_KEY).orderBy(~F.col("sound"), *[F.col(name) for name in PLACE])
    first = F.first("record_hash").over(same_event.rowsBetween(Window.unboundedPreceding, Window.currentRow))
    text = "the same record stands earlier in the source, equal in every column"
    repeat = F.coalesce(
        problem(F.col("record_hash") == first, "duplicate", None, text),
        problem(F.lit(True), "resent", "event_id", "an earlier record of the source has this event id"),
    )
    numbered = crowded.withColumn("nth", F.row_number().over(same_event)).withColumn("repeat", repeat)
    return numbered.where("sound and nth > 1").select(*PLACE, "repeat")


def judged(
    records: DataFrame, mapping: SourceMapping, *, repeats: DataFrame | None, stored: DataFrame | None
) -> DataFrame:
    """Records of `without_constants` with a verdict: reason_code, field and message, null for accepted ones.

    `repeats` as from `repeated_records`. `stored` holds the keys (event_id, item_position) of events that came with
    other files: those are `resent` too; None when there are none. Of accepted records each key is there once.
    """
    told = records
    if repeats is not None:
        told = _with_problem(records.join(repeats, on=list(PLACE), how="left"), F.col("repeat"))
    if stored is not None:
        told = _with_stored_problems(_with_key(told, mapping), stored)
    constants = constant_columns(mapping)
    columns = [name for name in (*EVENTS.column_names, *ITEM_COLUMNS) if name not in constants]
    verdict = F.try_element_at("problems", F.lit(1))
    message = F.array_join(F.transform("problems", lambda one: one["message"]), "; ")
    return told.select(
        *columns, verdict["reason_code"].alias("reason_code"), verdict["field"].alias("field"), message.alias("message")
    )


def _is_sound() -> Column:
    return F.size("problems") == 0


def _with_key(records: DataFrame, mapping: SourceMapping) -> DataFrame:
    constants = constant_columns(mapping)
    return records.withColumns({name: constants[name] for name in EVENT_KEY if name in constants})


def _with_stored_problems(records: DataFrame, stored: DataFrame) -> DataFrame:
    known = stored.select(*EVENT_KEY).distinct().withColumn("_stored", F.lit(True))
    resent = problem(F.col("_stored"), "resent", "event_id", "this event came before with another file")
    return _with_problem(records.join(known, on=list(EVENT_KEY), how="left"), resent)


def _with_problem(records: DataFrame, one: Column) -> DataFrame:
    """Adds a problem, where it is not null, to sound records only: what is refused keeps its first reason."""
    added = F.array(one).cast(f"array<{PROBLEM_TYPE}>")
    return records.withColumn("problems", F.when(one.isNotNull() & _is_sound(), added).otherwise(F.col("problems")))


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
