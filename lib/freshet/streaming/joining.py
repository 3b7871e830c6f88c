"""When a session logs in, its history joins the customer's: handed back to the stream as the customer's events.

An aggregation cannot move rows between keys. So a micro-batch that sees a login writes what was done before it as a
file into the folder of the hand-over, which the stream reads: the next micro-batch has it under the customer.
"""

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from freshet.streaming.histories import JOINED, STREAM_EVENT

_KEPT_BATCHES = 1_000
"""A file is read by the micro-batch after the one that wrote it, or a little later while the history is taken in."""


@dataclass(frozen=True)
class SessionJoins:
    """Writes the joins of micro-batches into the folder `history` of a hand-over."""

    history: Path

    def __call__(self, open_sessions: DataFrame, batch_id: int) -> int:
        """Hands the `joins` of these rows of touched_histories back; the number of entries.

        One file per micro-batch, whole or not at all, the same when it is repeated. An entry that is handed back twice
        counts once in a list.
        """
        entries = open_sessions.select("user_id", "newest_received_time", "login", F.explode("joins").alias("entry"))
        joined = entries.select(
            F.col("login.customer").alias("user_id"), "entry.event_time",
            F.col("newest_received_time").alias("received_time"), "entry.event_id", "entry.item_id",
            "entry.event_name", F.col("entry.order_id").alias("transaction_id"), "entry.quantity",
            F.lit(True).alias("live"),
        )  # fmt: skip
        marks = entries.groupBy("user_id").agg(
            F.first("login").alias("login"), F.first("newest_received_time").alias("received_time")
        )
        marks = marks.select(
            "user_id", "login.event_time", "received_time", "login.event_id",
            F.lit(None).cast("string").alias("item_id"), F.lit(JOINED).alias("event_name"),
            F.col("login.customer").alias("transaction_id"), F.lit(None).cast("double").alias("quantity"),
            F.lit(False).alias("live"),
        )  # fmt: skip
        rows = joined.unionByName(marks).select(*STREAM_EVENT.fieldNames()).toArrow()
        if rows.num_rows:
            self._write(rows, batch_id)
        return int(rows.num_rows)

    def _write(self, rows: pa.Table, batch_id: int) -> None:
        path = self.history / _name(batch_id)
        part = path.with_name(f".{path.name}.part")
        pq.write_table(rows, part, coerce_timestamps="us")
        part.replace(path)
        (self.history / _name(batch_id - _KEPT_BATCHES)).unlink(missing_ok=True)


def _name(batch_id: int) -> str:
    return f"joined-{batch_id:012d}.parquet"
