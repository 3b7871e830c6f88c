"""Totals over all records of an input, which are needed before any of them is written."""

from dataclasses import dataclass
from datetime import datetime

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from freshet.cleaning.outliers import Limits, limits_from, log_quantiles
from freshet.cleaning.parameters import CleaningParameters


@dataclass(frozen=True)
class Overview:
    """Counts of accepted and refused `judged` records, and the limits beyond which accepted ones are outliers.

    `span` holds the first and the newest event_time (UTC) of the accepted records; None where there are none.
    """

    accepted: int
    refused: int
    limits: dict[str, Limits]
    span: tuple[datetime, datetime] | None


def overview(records: DataFrame, params: CleaningParameters) -> Overview:
    """The overview of `judged` records, by one job. Postage and fees do not count towards the outlier limits."""
    is_accepted = F.col("reason_code").isNull()
    is_product = is_accepted & ~F.array_contains("flags", "non_product")
    row = records.agg(
        F.count_if(is_accepted).alias("accepted"), F.count_if(~is_accepted).alias("refused"),
        F.min(F.when(is_accepted, F.col("event_time"))).alias("first"),
        F.max(F.when(is_accepted, F.col("event_time"))).alias("newest"), *log_quantiles(is_product, params),
    ).first()  # fmt: skip
    assert row is not None  # an aggregate without grouping has exactly one row
    span = (row["first"], row["newest"]) if row["accepted"] else None
    return Overview(row["accepted"], row["refused"], limits_from(row.asDict(), params), span)


def main_refusal(records: DataFrame) -> tuple[str, int, str]:
    """The most frequent reason for refusing `judged` records, its count, and one of its messages; by one job."""
    worst = (
        records.where("reason_code is not null")
        .groupBy("reason_code")
        .agg(F.count(F.lit(1)).alias("rows"), F.min("message").alias("example"))
        .orderBy(F.desc("rows"), "reason_code")
        .first()
    )
    assert worst is not None  # asked only when records were refused
    return worst["reason_code"], worst["rows"], worst["example"]
