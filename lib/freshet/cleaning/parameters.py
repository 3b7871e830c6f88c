"""Limits of the cleaning; the values are set in conf/base.toml."""

from datetime import date
from typing import Literal

from pydantic import Field

from freshet.core.parameters import parameters


@parameters
class CleaningParameters:
    """Limits for refusing a record and for flagging a value as unusual."""

    earliest_event_date: date = Field(
        description="date; earlier events are refused: their clock was never set, or a unit was mistaken"
    )
    future_tolerance_hours: float = Field(
        ge=0, description="hours after the run's time up to which event times are accepted: clocks and zones differ"
    )
    late_after_hours: float = Field(
        ge=0, description="hours between event and arrival; from this delay on an event is flagged late"
    )
    outlier_method: Literal["robust_z", "iqr", "none"] = Field(
        description="robust_z (median and MAD), iqr (quartile fences) or none; both on the log scale"
    )
    outlier_robust_z: float = Field(
        gt=0, description="flagged beyond this many robust standard deviations; textbooks say 3.5, for normal data"
    )
    outlier_iqr_fences: float = Field(
        gt=0, description='flagged beyond this many interquartile ranges outside the quartiles ("far out")'
    )
    bot_events_per_day: int = Field(
        ge=0, description="a shopper's events of one UTC day are flagged bot and left out above this number; 0: off"
    )
    item_state_days: int = Field(
        ge=1, description="days; an item has one state (name, price, ...) per period of this length"
    )
    warn_refused_share: float = Field(
        ge=0, le=1, description="share of refused records (0 to 1) above which the summary warns"
    )
