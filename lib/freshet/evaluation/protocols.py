"""Evaluation protocols: how the shoppers of a window become cases, which are histories with the items that followed.

time_split          what a known shopper had in the whole window, from the history before it
leave_last_basket   what a shopper had in the last basket of the window, from all earlier visits
next_in_session     the same from everything before the basket, also of the same visit

A time split judges what a batch of lists is for, and is the usual protocol. It needs shoppers who come back: a young or
slow shop has only a few. Leaving out the last basket finds everybody who had been there before. A site of anonymous
sessions has nobody of either kind, but what came next in a session is the protocol of session-based recommenders
(Ludewig and Jannach 2018, for the last item of each session). It comes last, because what a shopper looks at minutes
before buying it says little of what to show on the next visit.
"""

from collections.abc import Callable, Iterable
from datetime import datetime

from pydantic import Field
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from freshet.contracts.operations import PROTOCOLS
from freshet.core.parameters import parameters
from freshet.evaluation.splitting import between, truth

TIME_SPLIT, LEAVE_LAST_BASKET, NEXT_IN_SESSION = PROTOCOLS


@parameters
class ProtocolParameters:
    """When a window is judged by which protocol."""

    min_cases: int = Field(
        ge=0,
        description="with fewer cases of one protocol the next one is used, if it has more than twice as many; 0: "
        "always a time split",
    )
    visit_minutes: float = Field(
        gt=0, description="a visit ends when nothing happens for so long; for shoppers' last baskets"
    )

    def chosen(self, cases: Iterable[tuple[str, int]]) -> str:
        """The protocol for a window, from the number of cases of each, in order. Reads no more than it needs."""
        best: tuple[str, int] | None = None
        for protocol, count in cases:
            if best is None or count > 2 * best[1]:
                best = (protocol, count)
            if best[1] >= self.min_cases:
                break
        assert best is not None  # there is more than one protocol
        return best[0]


def time_split_cases(
    earlier: DataFrame, events: DataFrame, *, target: str, start: datetime, end: datetime
) -> DataFrame:
    """(user_id, history, truth): shoppers with a `target` event before `start` and one in [start, end).

    `earlier`: (user_id, history) from what was known before `start`. truth: the distinct items in the window, in order.
    """
    with_target = earlier.where(F.exists("history", lambda entry: entry["event_name"] == target))
    later = truth(between(events, start, end), target=target).withColumnRenamed("items", "truth")
    return with_target.join(later, "user_id", how="inner")


def last_basket_cases(histories: DataFrame, *, target: str, start: datetime, visit_minutes: float | None) -> DataFrame:
    """(user_id, history, truth): shoppers whose newest `target` event is not before `start`, and who did something
    before that basket, or before its visit.

    `histories`: (user_id, history) from what was known before the end of the window, newest entry first. The basket is
    the newest target entry with all of the same order or moment; truth: its distinct items, in order. Its visit began
    after the last time that nothing happened for more than `visit_minutes`; None: with the basket. history: the entries
    before the visit, with their times shifted so that it would begin at `start`. So one clock serves all cases: the
    ages of entries are those that a list made just before the visit would see.
    """
    targets = F.filter("history", lambda entry: entry["event_name"] == target)
    found = _let(F.try_element_at(targets, F.lit(1)), lambda newest: _left_out(newest, target, start, visit_minutes))
    cases = histories.select("user_id", found.alias("found")).where(F.col("found.newest_time") >= F.lit(start))
    return cases.select("user_id", "found.history", "found.truth").where(F.size("history") > 0)


def _left_out(newest: Column, target: str, clock: datetime, visit_minutes: float | None) -> Column:
    """(newest_time, history, truth) for the newest target entry."""

    def of_basket(basket: Column) -> Column:
        items = F.transform(basket, lambda entry: entry["item_id"])
        begins = F.array_min(F.transform(basket, lambda entry: entry["event_time"]))
        return F.struct(
            newest["event_time"].alias("newest_time"),
            _let(_visit_begins(begins, visit_minutes), lambda begin: _before(begin, clock)).alias("history"),
            F.array_sort(F.array_distinct(items)).alias("truth"),
        )

    return _let(F.filter("history", lambda entry: _is_of_basket(entry, newest, target)), of_basket)


def _visit_begins(basket_begins: Column, visit_minutes: float | None) -> Column:
    if visit_minutes is None:
        return basket_begins
    gap = round(visit_minutes * 60_000_000)

    def earlier(begin: Column, entry: Column) -> Column:
        # Entries come newest first, so after the first one that is too far away all are.
        ago = F.unix_micros(begin) - F.unix_micros(entry["event_time"])
        return F.when((ago >= 0) & (ago <= gap), entry["event_time"]).otherwise(begin)

    return F.aggregate("history", basket_begins, earlier)


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
