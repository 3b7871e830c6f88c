"""The strength of each shopper's interest in each item, as of a date."""

from collections.abc import Sequence
from datetime import datetime

from pydantic import Field, field_validator
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from freshet.contracts import INTERACTIONS
from freshet.contracts.events import GA4_EVENT_NAMES, PURCHASE, REFUND
from freshet.contracts.identity import with_joined_sessions
from freshet.contracts.shoppers import counts_as_taste, history_entry, newest_history, shopper_id
from freshet.core.parameters import parameters
from freshet.features.basis import CARTS, VIEWS, days_between, item_events

_REVERSALS = ("refund", "remove_from_cart")


@parameters
class InteractionParameters:
    """How much an event counts as interest of a shopper in an item."""

    weights: dict[str, float] = Field(
        description="strength of a new event by GA4 name; names left out have none and are in no history; "
        "negative for returns and removals"
    )
    half_life_days: float = Field(
        gt=0,
        description="days; half-life of `strength` in table interactions, for its readers; models search for their own",
    )
    max_events: int = Field(
        ge=1, description="newest events of a shopper that count, in batch and stream; bounds the stream's state"
    )

    @field_validator("weights")
    @classmethod
    def _are_weights_of_events(cls, weights: dict[str, float]) -> dict[str, float]:
        unknown = sorted(set(weights) - set(GA4_EVENT_NAMES))
        if unknown:
            raise ValueError(f"names unknown events {', '.join(unknown)}; known: {', '.join(GA4_EVENT_NAMES)}")
        wrong = [name for name, weight in weights.items() if (weight > 0) == (name in _REVERSALS) and weight]
        if wrong:
            raise ValueError(f"of {', '.join(sorted(wrong))} has the wrong sign: removals and refunds are negative")
        if not any(weight > 0 for weight in weights.values()):
            raise ValueError("must give at least one event a positive weight")
        return weights

    @property
    def event_names(self) -> tuple[str, ...]:
        """The GA4 names of the events that have a weight; histories consist of these."""
        return tuple(sorted(name for name, weight in self.weights.items() if weight))


def histories(events: DataFrame, *, max_events: int, event_names: Sequence[str]) -> DataFrame:
    """(user_id string, history array<HISTORY_ENTRY>): each shopper's `max_events` newest item events, newest first.

    Of `event_names` alone: InteractionParameters.event_names.

    Uses all `events` that are passed: the caller cuts them at a date. Sessions that end in a login are part of the
    customer's history too (contracts.identity). Events without shopper or item, lines flagged non_product and
    events flagged bot are left out; a shopper with no other events has no row.
    """
    entries = (
        with_joined_sessions(events)
        .where(counts_as_taste() & F.col("event_name").isin(*event_names))
        .select(shopper_id().alias("user_id"), history_entry().alias("entry"))
    )
    return entries.groupBy("user_id").agg(newest_history(F.col("entry"), max_events).alias("history"))


def interactions(
    events: DataFrame, *, as_of: datetime, half_life_days: float | None, params: InteractionParameters
) -> DataFrame:
    """Contract INTERACTIONS: a row per shopper and item with an event of a weight known before `as_of`.

    strength = max(0, sum of weight * 0.5^(age / half life)) over distinct orders (events where there is no order)
    of each event name; the age of an order is that of its newest line, in days before `as_of`. `half_life_days`
    None: no decay; ValueError unless positive. A pair whose events were all undone stays, with strength 0.
    Events without weight, lines flagged non_product, events flagged bot and those without shopper or item are left
    out.
    """
    pairs = (
        interaction_signals(events, as_of=as_of, params=params)
        .groupBy("user_id", "item_id")
        .agg(
            _sum_of("lines", F.col("event_name").isin(*VIEWS)).alias("views"),
            _sum_of("lines", F.col("event_name").isin(*CARTS)).alias("carts"),
            F.count_if(F.col("event_name") == PURCHASE).alias("purchases"),
            F.count_if(F.col("event_name") == REFUND).alias("refunds"),
            F.coalesce(F.sum("pieces"), F.lit(0.0)).alias("quantity"),
            F.min("first_time").alias("first_time"),
            F.max("last_time").alias("last_time"),
            _strength(as_of, half_life_days).alias("strength"),
        )
    )
    return pairs.withColumn("as_of", F.lit(as_of)).select(*INTERACTIONS.column_names)


def strengths_by_half_life(
    signals: DataFrame, *, as_of: datetime, half_lives_days: Sequence[float | None]
) -> DataFrame:
    """(user_id, item_id, first_time, strength_0, strength_1 ...): `interactions` for several half-lives in one pass.

    `signals` are those of `interaction_signals` as of the same date.
    """
    columns = [_strength(as_of, days).alias(f"strength_{n}") for n, days in enumerate(half_lives_days)]
    return signals.groupBy("user_id", "item_id").agg(F.min("first_time").alias("first_time"), *columns)


def item_sequences(signals: DataFrame) -> DataFrame:
    """(user_id, item_id, position): a row for each order of an item and event name with a positive weight, by time.

    `signals` are those of `interaction_signals`; events without weight or with a negative one give no row.
    """
    return signals.where(F.col("weight") > 0).select("user_id", "item_id", F.col("last_time").alias("position"))


def interaction_signals(events: DataFrame, *, as_of: datetime, params: InteractionParameters) -> DataFrame:
    """A row per shopper, item, event name and order known before `as_of`, from each shopper's newest weighted events.

    Columns: user_id, item_id, event_name, order_id, lines, pieces, first_time, last_time, weight (of the settings).
    """
    weighted = events.where(F.col("event_name").isin(*params.event_names))
    known = item_events(weighted).where(F.col("known_at") < F.lit(as_of))
    return (
        _newest_events(known, params.max_events)
        # All later steps group by shopper and item or finer, so rows are shuffled once.
        .repartition("user_id", "item_id")
        .groupBy("user_id", "item_id", "event_name", "order_id")
        .agg(
            F.count(F.lit(1)).alias("lines"),
            F.sum("pieces").alias("pieces"),
            F.min("event_time").alias("first_time"),
            F.max("event_time").alias("last_time"),
        )
        .withColumn("weight", _weight(params.weights))
    )


def _newest_events(known: DataFrame, max_events: int) -> DataFrame:
    """Each shopper's `max_events` newest events, in the order of contracts.shoppers.newest_history."""
    # Few shoppers have so many events, and only their events are sorted. These shoppers are at most as many as all
    # events divided by max_events, so they can be broadcast.
    busy = F.broadcast(known.groupBy("user_id").count().where(F.col("count") > max_events).select("user_id"))
    newest_first = Window.partitionBy("user_id").orderBy(F.desc("event_time"), F.desc("entry_key"))
    cut = (
        known.join(busy, "user_id", how="left_semi")
        .withColumn("rank", F.row_number().over(newest_first))
        .where(F.col("rank") <= max_events)
        .drop("rank")
    )
    return known.join(busy, "user_id", how="left_anti").unionByName(cut)


def _strength(as_of: datetime, half_life_days: float | None) -> Column:
    """Aggregate over `interaction_signals`: the decayed sum of their weights, never below 0."""
    if half_life_days is None:
        return F.greatest(F.lit(0.0), F.sum("weight"))
    if not half_life_days > 0:
        raise ValueError(f"half_life_days must be above 0, is {half_life_days}")
    decay = F.pow(F.lit(0.5), days_between(F.col("last_time"), F.lit(as_of)) / half_life_days)
    return F.greatest(F.lit(0.0), F.sum(F.col("weight") * decay))


def _weight(weights: dict[str, float]) -> Column:
    weight = F.when(F.lit(False), F.lit(0.0))
    for name, value in sorted(weights.items()):
        weight = weight.when(F.col("event_name") == name, F.lit(float(value)))
    return weight.otherwise(F.lit(0.0))


def _sum_of(column: str, condition: Column) -> Column:
    return F.sum(F.when(condition, F.col(column)).otherwise(0)).cast("bigint")
