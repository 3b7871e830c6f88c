"""Parses and checks the raw records of a stream, by the same rules as those of files."""

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from freshet.cleaning.parameters import CleaningParameters
from freshet.cleaning.parsing import PLACE, parsed
from freshet.cleaning.problems import refused_as_too_large, verdict
from freshet.contracts import EVENTS
from freshet.contracts.shoppers import entry_key
from freshet.service.streams.records import CARRIED
from freshet.sources.rules import SourceMapping


def arrivals(raw: DataFrame, mapping: SourceMapping, params: CleaningParameters) -> DataFrame:
    """EVENTS columns, problems, is_sound and CARRIED of streaming records (streams.records).

    A record without a receipt time was received when it arrived at the broker. Times after the micro-batch's own, by
    more than the tolerance, are problems. Flags that need many records (outliers, bots) are set by the batch only.
    """
    read = parsed(
        raw, mapping, now=F.col("began"), params=params, arrived=F.col("arrived"), carried=CARRIED
    )  # fmt: skip
    return refused_as_too_large(read, F.col("too_large"))


def verdicts(records: DataFrame) -> DataFrame:
    """EVENTS columns, raw, began, reason_code, field and message of `arrivals`; the last three are null for sound
    records."""
    found = [column.alias(name) for name, column in verdict().items()]
    return records.select(*EVENTS.column_names, "raw", "began", *found)


def places_of(records: DataFrame) -> pa.Table:
    """(source_partition, source_offset, received_time) of `arrivals`."""
    return records.select(*PLACE, "received_time").toArrow()


def in_pieces(records: DataFrame, count: int) -> list[DataFrame]:
    """The records of `arrivals` in so many parts; those with one event id are in one of them."""
    if count == 1:
        return [records]
    part = F.pmod(entry_key(), F.lit(count))
    return [records.where(part == number) for number in range(count)]
