"""Refused records of a topic judged again, by a mapping that was mended or a clock that has gone on."""

import re

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from freshet.cleaning.parameters import CleaningParameters
from freshet.cleaning.parsing import PLACE
from freshet.cleaning.source_columns import event_columns
from freshet.contracts import EVENTS, QUARANTINE
from freshet.service.intake.arrivals import arrivals, is_sound
from freshet.service.streams.records import kept_records
from freshet.sources.rules import SourceMapping

_REPEATS = ("duplicate", "resent")
"""Reasons that speak of another record: its event is there."""


def is_open(source: str, topic: str) -> Column:
    """True for rows of QUARANTINE that may become events: of a topic, taken in by the mapping named `source`.

    Records of files and tables, by the same mapping perhaps, are not kept as they came: only their source has them.
    """
    of_topic = (F.col("source") == source) & F.col("source_partition").rlike(f"^{re.escape(topic)}-[0-9]+$")
    return of_topic & (F.col("status") == "refused") & ~F.col("reason_code").isin(*_REPEATS)


def mended_events(
    refused: DataFrame, events: DataFrame, mapping: SourceMapping, params: CleaningParameters
) -> DataFrame:
    """EVENTS rows of the records among QUARANTINE rows `refused` that are sound by `mapping` now.

    A record that does not say when it was received was when it was refused. Left out are event ids (with their item
    position) that `events` holds; of several records with one the first by receipt and place is taken. None for none.
    """
    read = arrivals(kept_records(refused, event_columns(mapping)), mapping, params)
    sound = read.where(is_sound()).select(*EVENTS.column_names)
    earlier = Window.partitionBy(*EVENTS.key).orderBy("received_time", *PLACE)
    first = sound.withColumn("_nth", F.row_number().over(earlier)).where("_nth = 1").drop("_nth")
    return first.join(events.select(*EVENTS.key), on=list(EVENTS.key), how="left_anti").select(*EVENTS.column_names)


def marked(quarantine: DataFrame, events: DataFrame) -> DataFrame:
    """QUARANTINE rows, those whose place stands in `events` as replayed, under the id that they have there."""
    ids = events.groupBy("source", *PLACE).agg(F.min("event_id").alias("_became"))
    told = quarantine.join(ids, on=["source", *PLACE], how="left")
    is_event = F.col("_became").isNotNull()
    return told.withColumns(
        {
            "status": F.when(is_event, "replayed").otherwise(F.col("status")),
            "replayed_as": F.coalesce("_became", "replayed_as"),
        }
    ).select(*QUARANTINE.column_names)
