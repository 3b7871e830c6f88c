"""The list a shopper should see now: the newest of the last batch's and all that the stream has made since."""

from pyspark.sql import DataFrame

from freshet.contracts import RECOMMENDATION_UPDATES, RECOMMENDATIONS

NEWEST_FIRST = ("generation", "event_clock", "source", "epoch", "query_id", "batch_id")
"""What tells the newest of a shopper's lists, each from its highest value down."""


def _newest_of(batch_lists: str, stream_lists: str) -> str:
    columns = ", ".join(RECOMMENDATIONS.column_names)
    order = ", ".join(f"{name} DESC" for name in NEWEST_FIRST)
    return f"""
WITH all_lists AS (
  SELECT {columns}, CAST(-1 AS BIGINT) AS epoch, '' AS query_id, CAST(-1 AS BIGINT) AS batch_id
  FROM {batch_lists}
  UNION ALL
  SELECT {columns}, epoch, query_id, batch_id FROM {stream_lists}
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


LATEST_RECOMMENDATIONS = _newest_of(RECOMMENDATIONS.name, RECOMMENDATION_UPDATES.name)
"""One row per shopper, the columns of `recommendations`. The same text runs in Spark, DuckDB and Polars.

Newest is highest (generation, event_clock, source with stream after batch, epoch, query_id, batch_id): a list of an
older generation never covers one of a newer, whenever it was written. The epoch stands before the query because a
list that a compaction has moved to `recommendations` has neither: all that may be newer has a later epoch.
"""


def latest_recommendations(recommendations: DataFrame, updates: DataFrame) -> DataFrame:
    """LATEST_RECOMMENDATIONS over two frames: one row per shopper, the columns of `recommendations`."""
    text = _newest_of("{recommendations}", "{updates}")
    return recommendations.sparkSession.sql(text, recommendations=recommendations, updates=updates)
