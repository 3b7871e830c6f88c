"""Streamed records about items, with prices and stock: states of items, and refused records."""

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from freshet.cleaning.checks import broken_record
from freshet.cleaning.items import STATE, catalogue_rows, items_history
from freshet.cleaning.parsing import PLACE
from freshet.cleaning.problems import Check, problems_of
from freshet.contracts import ITEMS_HISTORY
from freshet.contracts.inputs import BROKEN_RECORD, TOO_LARGE
from freshet.service.streams.records import CARRIED
from freshet.sources.rules import Catalogue

_HISTORY_KEY = ("item_id", "valid_from")


def item_messages(raw: DataFrame, catalogue: Catalogue, null_values: tuple[str, ...]) -> DataFrame:
    """Of records (streams.records): item_id, PLACE, STATE, arrived, began, raw, reason_code, field and message.

    The last three are null for sound records: readable ones with the id of an item.
    """
    rows = catalogue_rows(raw, catalogue, null_values, carried=(BROKEN_RECORD, *CARRIED))
    checks = [
        Check(F.col("too_large"), "too_large", None, TOO_LARGE),
        broken_record(),
        Check(F.col("item_id").isNull(), "missing_item", "item_id", "there is no id of an item"),
    ]  # fmt: skip
    first = F.try_element_at(problems_of(checks), F.lit(1))
    return rows.withColumn("_problem", first).select(
        "item_id", *PLACE, *STATE, "arrived", "began", "raw",
        *[F.col(f"_problem.{name}").alias(name) for name in ("reason_code", "field", "message")],
    )  # fmt: skip


def recorded_states(messages: DataFrame) -> DataFrame:
    """ITEMS_HISTORY of the sound ones among `item_messages`: the records about an item at one moment, as one state.

    valid_from and known_at are when the record arrived. Of each attribute the last value by place that is not null
    is used.
    """
    place = F.struct(*PLACE)
    last = [F.max_by(name, F.when(F.col(name).isNotNull(), place)).alias(name) for name in STATE]
    one_each = messages.where("reason_code is null").groupBy("item_id", "arrived").agg(*last)
    return one_each.select(
        "item_id", F.col("arrived").alias("valid_from"), F.lit(None).cast("timestamp").alias("valid_to"),
        F.col("arrived").alias("known_at"), *STATE,
    )  # fmt: skip


def histories_with(states: DataFrame, stored: DataFrame) -> DataFrame:
    """ITEMS_HISTORY of the items of `recorded_states` alone: their `stored` history with the states added.

    If a moment is stored already, for example because its records came in two micro-batches, attributes that are null
    in the state keep their stored values."""
    mine = stored.join(F.broadcast(states.select("item_id").distinct()), on="item_id", how="left_semi")
    before = mine.select(*_HISTORY_KEY, *[F.col(name).alias(f"_{name}") for name in STATE])
    whole = states.join(before, on=list(_HISTORY_KEY), how="left").withColumns(
        {name: F.coalesce(name, f"_{name}") for name in STATE}
    )
    return items_history(whole.select(*ITEMS_HISTORY.column_names), stored=mine)


def same_rows(some: pa.Table, others: pa.Table) -> bool:
    """Whether two tables of ITEMS_HISTORY have the same rows, in any order."""
    if some.num_rows != others.num_rows:
        return False
    order = [(name, "ascending") for name in _HISTORY_KEY]
    one, other = (table.take(pc.sort_indices(table, sort_keys=order)) for table in (some, others))
    return one.to_pylist() == other.to_pylist()
