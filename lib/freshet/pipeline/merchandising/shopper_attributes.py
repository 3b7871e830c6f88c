"""What rules ask of shoppers: the segment, and the newest values of event properties."""

from collections.abc import Sequence
from datetime import datetime

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from freshet.contracts import EVENTS, USER_ATTRIBUTES, USER_SEGMENTS
from freshet.contracts.shoppers import entry_key, shopper_id
from freshet.rules.rule import Rule
from freshet.runs.job import Job
from freshet.runs.merchandising import NO_SHOPPERS
from freshet.tables.lookups.snapshot import table_facts
from freshet.tables.small_writes import replace_whole

SEGMENT = "segment"
"""The attribute with the name of a shopper's segment. All others are properties of events."""


def asked_attributes(rules: Sequence[Rule]) -> list[str]:
    """The attributes that conditions on shoppers name, in rising order."""
    return sorted({condition.attribute for rule in rules for condition in rule.shoppers})


def newest_properties(events: DataFrame, *, names: Sequence[str]) -> DataFrame:
    """(user_id, properties map<text, text>): of the named properties of EVENTS the values of each shopper's newest
    events that have them, null for those that none has."""
    newest = F.struct("event_time", entry_key())

    def newest_value(name: str) -> Column:
        value = F.col("properties")[name]
        return F.max_by(value, F.when(value.isNotNull(), newest))

    pairs = [part for name in names for part in (F.lit(name), newest_value(name))]
    mine = events.where(shopper_id().isNotNull()).groupBy(shopper_id().alias("user_id"))
    return mine.agg(F.create_map(*pairs).alias("properties"))


def segments_of(rows: DataFrame) -> DataFrame:
    """(user_id, segment_name) of the newest as_of in rows of contract USER_SEGMENTS; empty without a row."""
    newest = rows.agg(F.max("as_of")).first()
    chosen = rows.where(F.col("as_of") == F.lit(None if newest is None else newest[0]))
    return chosen.select("user_id", "segment_name")


def user_attributes(events: DataFrame, segments: DataFrame, *, names: Sequence[str], as_of: datetime) -> DataFrame:
    """Rows of contract USER_ATTRIBUTES for the shoppers who have one of the attributes `names`.

    `events` are rows of contract EVENTS, `segments` (user_id, segment_name), one row per shopper. Of a property the
    value of the newest event that has it counts.
    """
    of_events = newest_properties(events, names=[name for name in names if name != SEGMENT])
    joined = of_events.join(segments, "user_id", how="full_outer")
    segment = F.create_map(F.lit(SEGMENT), F.col("segment_name") if SEGMENT in names else F.lit(None).cast("string"))
    nothing = F.create_map().cast("map<string,string>")
    every = F.map_concat(F.coalesce("properties", nothing), segment)
    attributes = F.map_filter(every, lambda name, value: value.isNotNull())
    rows = joined.select(F.lit(as_of).cast("timestamp").alias("as_of"), "user_id", attributes.alias("attributes"))
    return rows.where(F.size("attributes") > 0)


def asked_of_shoppers(job: Job, rules: Sequence[Rule]) -> DataFrame | None:
    """Rows of contract USER_ATTRIBUTES with what these rules ask for, as of the run; None if they ask for nothing."""
    names = asked_attributes(rules)
    return named_attributes(job, names, as_of=job.windows().as_of) if names else None


def named_attributes(job: Job, names: Sequence[str], *, as_of: datetime) -> DataFrame:
    """Rows of contract USER_ATTRIBUTES with these attributes, from events before `as_of` and the newest segments."""
    events = job.warehouse.read(EVENTS).where(F.col("event_time") < F.lit(as_of))
    job.warehouse.create(USER_SEGMENTS)
    segments = segments_of(job.warehouse.read(USER_SEGMENTS))
    return user_attributes(events, segments, names=names, as_of=as_of)


def write_user_attributes(job: Job, rules: Sequence[Rule]) -> None:
    """Replaces table `user_attributes` by what these rules ask for; without a question it is empty."""
    rows = asked_of_shoppers(job, rules)
    job.warehouse.create(USER_ATTRIBUTES)
    facts = table_facts(job.home.warehouse, USER_ATTRIBUTES)
    if rows is not None:
        job.warehouse.replace(rows, USER_ATTRIBUTES)
    elif facts is not None and facts["rows"]:
        replace_whole(job.warehouse, NO_SHOPPERS, USER_ATTRIBUTES)
