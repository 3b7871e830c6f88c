"""Identity stitching: whose were the events of an anonymous visitor who later turned out to be a customer?"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F


def stitched(events: DataFrame) -> DataFrame:
    """`events` in which anonymous ones have the user_id that their anonymous_id is known to belong to.

    An anonymous_id belongs to a user when it appears together with exactly one user_id; with several (a shared
    device) nothing is changed. It is known-at correct by what it is given: call it with the events known before a
    moment (`splitting.known_before`), and links that came to be known later play no part. Therefore stored events
    are never stitched. Columns and number of rows stay as they are.
    """
    links = (
        events.where("anonymous_id is not null and user_id is not null")
        .groupBy("anonymous_id")
        .agg(F.min("user_id").alias("_only"), F.max("user_id").alias("_last"))
        .where("_only = _last")
        .drop("_last")
    )
    joined = events.join(links, on="anonymous_id", how="left")
    return joined.withColumn("user_id", F.coalesce("user_id", "_only")).select(*events.columns)
