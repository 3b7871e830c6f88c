"""Splits of events in time: the windows of a run, and what was known before a cut.

A run has one clock: `as_of`. Models are fitted on data before `cut`, their settings are chosen on the window
[validation_cut, cut), and [cut, as_of) is kept for the test and for the live part.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

from pydantic import Field, model_validator
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from freshet.contracts.shoppers import counts_as_taste, shopper_id
from freshet.core.errors import InputError
from freshet.core.parameters import parameters

MOST_DAYS = 36_500
"""Longest window: a hundred years. Calendars end, and a larger number is a mistake."""


@parameters
class WindowParameters:
    """The division of time in a run."""

    live_days: int = Field(
        ge=0,
        le=MOST_DAYS,
        description="days before as_of that are held out for the test and replayed as a stream; 0: no live part",
    )
    short_live_share: float = Field(
        gt=0, lt=1, description="share of the data's time span used as live part when whole days do not fit"
    )
    short_validation_share: float = Field(gt=0, lt=1, description="the same for the validation window")
    horizon_days: int = Field(
        ge=1, le=MOST_DAYS, description="length in days of the validation window when there is no live part"
    )

    @model_validator(mode="after")
    def _leaves_time_to_learn(self) -> Self:
        if self.short_live_share + self.short_validation_share >= 1:
            raise ValueError("short_live_share and short_validation_share must leave time to learn from")
        return self


@dataclass(frozen=True)
class Windows:
    """The cuts of one run, all UTC and timezone-free. `shortened` when the data are too short for whole days."""

    as_of: datetime
    cut: datetime
    validation_cut: datetime
    shortened: bool

    @property
    def horizon(self) -> timedelta:
        return self.cut - self.validation_cut

    @property
    def has_live_part(self) -> bool:
        return self.cut < self.as_of


def run_windows(first: datetime, newest: datetime, as_of: datetime | None, params: WindowParameters) -> Windows:
    """The windows for data from `first` to `newest` (event times, UTC).

    `as_of` is exclusive; None means just after the newest event. Cuts are midnights UTC, unless live part,
    validation and the same time again for training do not fit into the data: then they are shares of its span.
    Raises InputError when `as_of` is not within the data.
    """
    just_after = newest + timedelta(microseconds=1)
    as_of = just_after if as_of is None else as_of
    check_as_of(as_of, first, newest)
    end = min(as_of, just_after)
    cut = _midnight(as_of) - timedelta(days=params.live_days) if params.live_days else as_of
    horizon = timedelta(days=-(-(end - cut) // timedelta(days=1)) if params.live_days else params.horizon_days)
    validation_cut = cut - horizon
    if validation_cut - horizon >= first and horizon > timedelta(0):
        return Windows(as_of, cut, validation_cut, shortened=False)
    span = end - first
    cut = max(first, _whole_second(end - span * params.short_live_share)) if params.live_days else as_of
    # as_of may be up to a day after the last event, which can exceed the span of the data: shares end at the newest.
    validation_cut = max(first, _whole_second(min(cut, end) - span * params.short_validation_share))
    return Windows(as_of, cut, validation_cut, shortened=True)


def check_as_of(as_of: datetime, first: datetime, newest: datetime, *, do: str = "") -> None:
    """Raises InputError, with what to `do`, when `as_of` is not within data from `first` to `newest`."""
    if not first < as_of <= _midnight(newest) + timedelta(days=1):
        raise InputError(
            "as_of is outside the data",
            where=f"--as-of {as_of:%Y-%m-%d %H:%M:%S}",
            expected=f"a moment after {first:%Y-%m-%d %H:%M:%S} and up to the end of {newest:%Y-%m-%d}",
            do=do,
        )


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def _whole_second(moment: datetime) -> datetime:
    return moment.replace(microsecond=0)


def known_before(events: DataFrame, moment: datetime) -> DataFrame:
    """Events that had happened and were known before `moment` (both event_time and received_time)."""
    return events.where((F.col("event_time") < F.lit(moment)) & (F.col("received_time") < F.lit(moment)))


def between(events: DataFrame, start: datetime, end: datetime) -> DataFrame:
    """Events that happened in [start, end)."""
    return events.where((F.col("event_time") >= F.lit(start)) & (F.col("event_time") < F.lit(end)))


def truth(events: DataFrame, *, target: str) -> DataFrame:
    """(user_id, items array<string>): the distinct items of each shopper's `target` events, in item order.

    Flagged non-products and events without shopper or item do not count. Empty input gives an empty frame.
    """
    return (
        events.where((F.col("event_name") == target) & counts_as_taste())
        .select(shopper_id().alias("user_id"), "item_id")
        .groupBy("user_id")
        .agg(F.array_sort(F.collect_set("item_id")).alias("items"))
    )
