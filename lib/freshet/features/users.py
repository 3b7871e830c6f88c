"""Features of shoppers as of one or several cut dates.

Each task holds the events of its shoppers as arrays, in the order in which they became known, and processes the
cuts in one pass: many cuts cost little more than one.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import to_arrow_schema

from freshet.contracts import USER_FEATURES
from freshet.features.arrays import batches
from freshet.features.basis import actions, sorted_cuts
from freshet.features.shopper_counts import ShopperCounts

_COLUMNS = ("user_id", "item_id", "event_name", "order_id", "event_time", "known_at", "spend")


def user_features(events: DataFrame, *, as_of: datetime) -> DataFrame:
    """Contract USER_FEATURES as of one date; see `user_features_at`."""
    return user_features_at(events, [as_of])


def user_features_at(events: DataFrame, cuts: Sequence[datetime]) -> DataFrame:
    """Contract USER_FEATURES: a row per cut and shopper with an event that was known before the cut.

    Windows of d days reach from 24 * d hours before the cut (inclusive) to the cut (exclusive), by event time.
    An order has the time of its newest line; gaps are measured between days (UTC) with orders, and their deviation is
    the sample deviation. A line without quantity counts as one piece. Monetary values are null for a shopper with
    orders of which none has a price, and 0 without orders. Lines flagged non_product, events flagged bot, impressions
    (contracts.events) and events without shopper are left out.

    Without any event the frame is empty; no cut raises ValueError. A task needs about 300 bytes per event of its
    shoppers.
    """
    rising = sorted_cuts(cuts)
    schema = to_arrow_schema(USER_FEATURES.schema, timezone="UTC")

    def made(rows_in: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        filled = [batch for batch in rows_in if batch.num_rows]
        if not filled:
            return
        # Sorted by spend too, so that sums are equal to the last bit, in whatever order the rows arrived.
        rows = pa.Table.from_batches(filled).sort_by([("known_at", "ascending"), ("spend", "ascending")])
        counts = ShopperCounts(rows)
        for cut in rising:
            yield from batches(counts.features_at(cut), cut, schema)

    facts = (
        actions(events).where((F.col("known_at") < F.lit(rising[-1])) & F.col("user_id").isNotNull()).select(*_COLUMNS)
    )
    return facts.repartition("user_id").mapInArrow(made, USER_FEATURES.schema)
