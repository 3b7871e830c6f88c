"""Every record ends in exactly one of events and quarantine: which one, and why."""

from datetime import datetime

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from freshet.cleaning.item_attributes import ITEM_COLUMNS
from freshet.cleaning.parsing import PLACE, restorable_columns
from freshet.cleaning.problems import problem, verdict
from freshet.contracts import EVENTS, QUARANTINE
from freshet.contracts.events import SCHEMA_VERSION
from freshet.contracts.inputs import BROKEN_RECORD, RAW_TEXT, kept_text
from freshet.sources.mapping import EVENTS_REPEAT
from freshet.sources.rules import SourceMapping

EVENT_KEY = ("event_id", "item_position")
VERDICT = ("reason_code", "field", "message")


def narrowed(records: DataFrame, mapping: SourceMapping) -> DataFrame:
    """`parsed` records reduced to what must be kept: the verdict so far, and no column that can be derived again.

    The VERDICT columns replace `problems`; they are null for sound records: reason_code and field of the most
    serious problem, and all messages.
    """
    hash_is_id = () if _own_ids(mapping) else ("record_hash",)
    return records.withColumns(verdict()).drop("problems", "is_sound", *hash_is_id, *restorable_columns(mapping))


def repeated_records(records: DataFrame, mapping: SourceMapping) -> DataFrame | None:
    """(source_partition, source_offset, repeat) of the sound records that repeat an earlier one; `repeat` says how.

    The first of several sound records with the same event id and item position, by source order, is accepted; the
    others are `duplicate` (all source columns equal) or `resent`. None when the mapping treats equal records as
    separate events. `records` are those of `narrowed`.
    """
    if mapping.repeats == EVENTS_REPEAT and not _own_ids(mapping):
        return None
    keyed = _with_key(records, mapping).where("reason_code is null").withColumn("_hash", F.xxhash64(*EVENT_KEY))
    # Nearly all keys occur once, and only records with other keys are sorted. They are found by a hash, which may
    # match a few more: shuffling numbers is much cheaper than shuffling texts.
    several = keyed.groupBy("_hash").count().where("count > 1").select("_hash")
    crowded = keyed.join(several, on="_hash", how="left_semi")
    same_event = Window.partitionBy(*EVENT_KEY).orderBy(*PLACE)
    repeat = F.lit("duplicate")
    if _own_ids(mapping):
        first = F.first("record_hash").over(same_event.rowsBetween(Window.unboundedPreceding, Window.currentRow))
        repeat = F.when(F.col("record_hash") == first, "duplicate").otherwise("resent")
    numbered = crowded.withColumn("_nth", F.row_number().over(same_event)).withColumn("repeat", repeat)
    return numbered.where("_nth > 1").select(*PLACE, "repeat")


def judged(
    records: DataFrame, mapping: SourceMapping, *, repeats: DataFrame | None, stored: DataFrame | None
) -> DataFrame:
    """Records of `narrowed` with their final verdict: reason_code, field and message, null for accepted ones.

    `repeats` as from `repeated_records`. `stored` holds the keys (event_id, item_position) of events that came with
    other files: those are `resent` too; None when there are none. Each key occurs once among accepted records.
    """
    result = records
    if repeats is not None:
        how = F.col("repeat")
        text = "the source has the same record earlier, equal in every column"
        again = F.coalesce(
            problem(how == "duplicate", "duplicate", None, text),
            problem(how == "resent", "resent", "event_id", "an earlier record of the source has this event id"),
        )
        result = _with_problem(records.join(repeats, on=list(PLACE), how="left"), again).drop("repeat")
    if stored is not None:
        result = _with_stored_problems(_with_key(result, mapping), stored)
    return result.select(*records.columns)


def _own_ids(mapping: SourceMapping) -> bool:
    """Whether the source has event ids. Without them, an id is the hash of the record or of its place."""
    return mapping.text("event_id") is not None


def _with_key(records: DataFrame, mapping: SourceMapping) -> DataFrame:
    made = restorable_columns(mapping)
    return records.withColumns({name: made[name] for name in EVENT_KEY if name in made})


def _with_stored_problems(records: DataFrame, stored: DataFrame) -> DataFrame:
    known = stored.select(*EVENT_KEY).distinct().withColumn("_stored", F.lit(True))
    resent = problem(F.col("_stored"), "resent", "event_id", "this event came before with another file")
    return _with_problem(records.join(known, on=list(EVENT_KEY), how="left"), resent)


def _with_problem(records: DataFrame, one: Column) -> DataFrame:
    """Refuses sound records where the problem is not null; records refused before keep their first reason."""
    is_new = F.col("reason_code").isNull() & one.isNotNull()
    return records.withColumns({name: F.when(is_new, one[name]).otherwise(F.col(name)) for name in VERDICT})


def accepted(records: DataFrame, mapping: SourceMapping) -> DataFrame:
    """The accepted ones of `judged` records: EVENTS columns and ITEM_COLUMNS."""
    whole = records.where("reason_code is null").withColumns(restorable_columns(mapping))
    return whole.select(*EVENTS.column_names, *ITEM_COLUMNS)


def quarantined(
    records: DataFrame, raw: DataFrame, mapping: SourceMapping, *, first_seen: datetime, few: bool
) -> DataFrame:
    """The refused of `judged` records as QUARANTINE rows, each with its raw record.

    `raw` is the frame that the records were parsed from. A record that came as text is kept as that text, any other
    as JSON of all source columns, with a line that could not be read in `_broken_record`. Only the beginning of a
    record that is too large is kept (contracts.inputs.kept_text). With `few` the refused records are broadcast, so
    that no other record is turned into JSON.
    """
    refused = records.where("reason_code is not null").select(*PLACE, *VERDICT)
    joined = raw.join(F.broadcast(refused) if few else refused, on=list(PLACE), how="inner")
    return joined.select(
        F.lit(mapping.name).alias("source"), *PLACE, _whole_record(raw).alias("raw"), *VERDICT,
        F.lit(SCHEMA_VERSION).alias("schema_version"),
        F.lit(first_seen).cast("timestamp").alias("first_seen"),
        F.lit("refused").alias("status"),
        F.lit(None).cast("string").alias("replayed_as"),
    ).select(*QUARANTINE.column_names)  # fmt: skip


def _whole_record(raw: DataFrame) -> Column:
    if RAW_TEXT in raw.columns:
        return F.col(RAW_TEXT)
    shown = [F.col(f"`{name}`") for name in raw.columns if name not in (*PLACE, BROKEN_RECORD)]
    as_json = F.to_json(F.struct(*shown), {"ignoreNullFields": "false"})
    if BROKEN_RECORD in raw.columns:
        as_broken = F.to_json(F.struct(F.col(BROKEN_RECORD)))
        as_json = F.when(F.col(BROKEN_RECORD).isNotNull(), as_broken).otherwise(as_json)
    return kept_text(as_json)[0]
