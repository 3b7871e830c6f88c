"""Refused records of a topic checked again, with a corrected mapping or at a later time."""

import re

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from freshet.cleaning.parameters import CleaningParameters
from freshet.cleaning.parsing import PLACE
from freshet.cleaning.source_columns import event_columns
from freshet.contracts import EVENTS, QUARANTINE
from freshet.service.intake.arrivals import arrivals
from freshet.service.streams.records import kept_records
from freshet.sources.rules import SourceMapping

_REPEATS = ("duplicate", "resent")
"""Reasons that refer to another record, whose event is in the table."""


def is_open(source: str, topic: str) -> Column:
    """True for rows of QUARANTINE that may become events: of a topic, ingested with the mapping named `source`.

    Original records of files and tables are not in quarantine, even with the same mapping: only their source has them.
    """
    of_topic = (F.col("source") == source) & F.col("source_partition").rlike(f"^{re.escape(topic)}-[0-9]+$")
    return of_topic & (F.col("status") == "refused") & ~F.col("reason_code").isin(*_REPEATS)


def mended_events(
    refused: DataFrame, events: DataFrame, mapping: SourceMapping, params: CleaningParameters
) -> DataFrame:
    """EVENTS rows of the records among QUARANTINE rows `refused` that are now sound with `mapping`.

    A record without a receipt time was received when it was refused. Event ids (with their item position) that `events`
    holds are left out; the first of several records with one id, by receipt and place, is used.
    """
    read = arrivals(kept_records(refused, event_columns(mapping)), mapping, params)
    sound = read.where("is_sound").select(*EVENTS.column_names)
    earlier = Window.partitionBy(*EVENTS.key).orderBy("received_time", *PLACE)
    first = sound.withColumn("_nth", F.row_number().over(earlier)).where("_nth = 1").drop("_nth")
    return first.join(events.select(*EVENTS.key), on=list(EVENTS.key), how="left_anti").select(*EVENTS.column_names)


def marked(quarantine: DataFrame, events: DataFrame) -> DataFrame:
    """The QUARANTINE rows; those whose place is in `events` have status replayed and the event id that they have
    there."""
    ids = events.groupBy("source", *PLACE).agg(F.min("event_id").alias("_became"))
    joined = quarantine.join(ids, on=["source", *PLACE], how="left")
    is_event = F.col("_became").isNotNull()
    return joined.withColumns(
        {
            "status": F.when(is_event, "replayed").otherwise(F.col("status")),
            "replayed_as": F.coalesce("_became", "replayed_as"),
        }
    ).select(*QUARANTINE.column_names)
