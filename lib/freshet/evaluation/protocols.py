"""Evaluation protocols: how the shoppers of a window become cases, which are histories with the items that followed.

time_split          what a known shopper had in the whole window, from the history before it
leave_last_basket   what a shopper had in the last basket of the window, from everything before that basket

A time split judges what a batch of lists is for, and is the usual protocol. It needs shoppers who come back: a shop of
anonymous sessions has none, a young or slow one only a few. There, leaving out the last basket finds every shopper who
did anything before it. Where single clicks are judged and shoppers are sessions, this is the protocol of session-based
recommenders: the next item in the session (Ludewig and Jannach 2018, section 4.1, for the last item of each session).
"""

from collections.abc import Callable
from datetime import datetime

from pydantic import Field
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from freshet.contracts.operations import PROTOCOLS
from freshet.core.parameters import parameters
from freshet.evaluation.splitting import between, truth

TIME_SPLIT, LEAVE_LAST_BASKET = PROTOCOLS


@parameters
class ProtocolParameters:
    """When a window is judged by which protocol."""

    min_returning: int = Field(
        ge=0,
        description="with fewer shoppers who come back in a window, last baskets are judged, if they are more than "
        "twice as many; 0: always a time split",
    )

    def wants_more(self, returning: int) -> bool:
        """Whether this many returning shoppers are too few for a time split, if there are enough last baskets."""
        return returning < self.min_returning

    def chosen(self, returning: int, last_baskets: int) -> str:
        """The protocol for a window with this many cases of either kind."""
        is_better = self.wants_more(returning) and last_baskets > 2 * returning
        return LEAVE_LAST_BASKET if is_better else TIME_SPLIT


def time_split_cases(
    earlier: DataFrame, events: DataFrame, *, target: str, start: datetime, end: datetime
) -> DataFrame:
    """(user_id, history, truth): shoppers with a `target` event before `start` and one in [start, end).

    `earlier`: (user_id, history) from what was known before `start`. truth: the distinct items in the window, in order.
    """
    with_target = earlier.where(F.exists("history", lambda entry: entry["event_name"] == target))
    later = truth(between(events, start, end), target=target).withColumnRenamed("items", "truth")
    return with_target.join(later, "user_id", how="inner")


def last_basket_cases(histories: DataFrame, *, target: str, start: datetime, clock: datetime) -> DataFrame:
    """(user_id, history, truth): shoppers whose newest `target` event is not before `start`, and who did something
    before that basket.

    `histories`: (user_id, history) from what was known before the end of the window, newest entry first. The basket is
    the newest target entry with all of the same order or moment; truth: its distinct items, in order. history: the
    entries before the basket, with their times shifted so that the basket would begin at `clock`. So one clock serves
    all cases: the ages of entries are those that a list made just before the basket would see.
    """
    targets = F.filter("history", lambda entry: entry["event_name"] == target)
    found = _let(F.try_element_at(targets, F.lit(1)), lambda newest: _left_out(newest, target, clock))
    cases = histories.select("user_id", found.alias("found")).where(F.col("found.newest_time") >= F.lit(start))
    return cases.select("user_id", "found.history", "found.truth").where(F.size("history") > 0)


def _left_out(newest: Column, target: str, clock: datetime) -> Column:
    """(newest_time, history, truth) for the newest target entry."""

    def of_basket(basket: Column) -> Column:
        items = F.transform(basket, lambda entry: entry["item_id"])
        begins = F.array_min(F.transform(basket, lambda entry: entry["event_time"]))
        return F.struct(
            newest["event_time"].alias("newest_time"),
            _let(begins, lambda begin: _before(begin, clock)).alias("history"),
            F.array_sort(F.array_distinct(items)).alias("truth"),
        )

    return _let(F.filter("history", lambda entry: _is_of_basket(entry, newest, target)), of_basket)


def _before(begin: Column, clock: datetime) -> Column:
    """The entries of the history before a moment, shifted so that it would be at the clock."""

    def shifted(entry: Column) -> Column:
        microseconds = F.unix_micros(entry["event_time"]) + F.unix_micros(F.lit(clock)) - F.unix_micros(begin)
        return entry.withField("event_time", F.timestamp_micros(microseconds))

    return F.transform(F.filter("history", lambda entry: entry["event_time"] < begin), shifted)


def _let(value: Column, result: Callable[[Column], Column]) -> Column:
    """`result` of a value that is computed once.

    Spark merges projections, so that a column which the functions of arrays refer to would be computed again for every
    element: for histories of 1,500 entries that took minutes per shopper.
    """
    return F.transform(F.array(value), result)[0]


def _is_of_basket(entry: Column, newest: Column, target: str) -> Column:
    is_same = (entry["order_id"] == newest["order_id"]) | (entry["event_time"] == newest["event_time"])
    return (entry["event_name"] == target) & is_same
