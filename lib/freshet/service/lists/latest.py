"""The list a shopper should see now: the newest of the last batch's list and all that the stream has made since.

The rule is defined here only, as names and values (NEWEST_FIRST, BATCH_VALUES). SQL for Spark, DuckDB and Polars, the
sort of a few rows and the compaction's merge by Arrow (newest_lists.py) are all made from these."""

from collections.abc import Sequence
from typing import Any

from pyspark.sql import DataFrame

from freshet.contracts import RECOMMENDATION_UPDATES, RECOMMENDATIONS

NEWEST_FIRST = ("generation", "event_clock", "source", "epoch", "query_id", "batch_id")
"""Columns by which the newest of a shopper's lists is found, each in descending order."""

BATCH_VALUES: dict[str, int | str] = {"epoch": -1, "query_id": "", "batch_id": -1}
"""Values of the columns that `recommendations` lacks: its lists are older than every update of the same clock."""


def _newest_of(batch_lists: str, stream_lists: str) -> str:
    columns = ", ".join(RECOMMENDATIONS.column_names)
    batch_values = ", ".join(f"{_literal(value)} AS {name}" for name, value in BATCH_VALUES.items())
    order = ", ".join(f"{name} DESC" for name in NEWEST_FIRST)
    return f"""
WITH all_lists AS (
  SELECT {columns}, {batch_values}
  FROM {batch_lists}
  UNION ALL
  SELECT {columns}, {", ".join(BATCH_VALUES)} FROM {stream_lists}
),
newest_first AS (
  SELECT *, ROW_NUMBER() OVER (
    PARTITION BY user_id
    ORDER BY {order}
  ) AS place
  FROM all_lists
)
SELECT {columns} FROM newest_first WHERE place = 1
""".strip()


def _literal(value: int | str) -> str:
    return f"'{value}'" if isinstance(value, str) else f"CAST({value} AS BIGINT)"


LATEST_RECOMMENDATIONS = _newest_of(RECOMMENDATIONS.name, RECOMMENDATION_UPDATES.name)
"""One row per shopper, the columns of `recommendations`. The same text runs in Spark, DuckDB and Polars.

Newest is highest (generation, event_clock, source with stream after batch, epoch, query_id, batch_id): a list of an
older generation never hides one of a newer, whenever it was written. The epoch precedes the query because a list
that a compaction has moved to `recommendations` has neither: every list that may be newer has a later epoch.
"""


def latest_recommendations(recommendations: DataFrame, updates: DataFrame) -> DataFrame:
    """LATEST_RECOMMENDATIONS over two frames: one row per shopper, the columns of `recommendations`."""
    text = _newest_of("{recommendations}", "{updates}")
    return recommendations.sparkSession.sql(text, recommendations=recommendations, updates=updates)


def lists_newest_first(
    recommendations: Sequence[dict[str, Any]], updates: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Rows of both tables, newest first, each list once: for a few shoppers, as dicts by column name.

    The rows need the columns of NEWEST_FIRST that their table has, and user_id. A compaction copies lists from
    `recommendation_updates` to `recommendations`; for a list that is in both, the row of the updates is returned.
    """
    copied = [name for name in RECOMMENDATIONS.column_names if all(name in row for row in (*recommendations, *updates))]
    originals = [[row[name] for name in copied] for row in updates]
    batch = [row for row in recommendations if [row[name] for name in copied] not in originals]

    def age(row: dict[str, Any]) -> tuple[Any, ...]:
        return tuple({**BATCH_VALUES, **row}[name] for name in NEWEST_FIRST)

    return sorted([*batch, *updates], key=age, reverse=True)
