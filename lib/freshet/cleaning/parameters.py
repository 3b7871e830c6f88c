"""Limits of the cleaning; the values stand in conf/base.toml."""

from dataclasses import dataclass
from datetime import date

OUTLIER_METHODS = ("robust_z", "iqr", "none")


@dataclass(frozen=True)
class CleaningParameters:
    """What is refused, and from where on a value is flagged as unusual."""

    earliest_event_date: date
    future_tolerance_hours: float
    late_after_hours: float
    outlier_method: str
    outlier_robust_z: float
    outlier_iqr_fences: float
    bot_events_per_day: int
    item_state_days: int
    warn_refused_share: float

    def __post_init__(self) -> None:
        problems = []
        if self.outlier_method not in OUTLIER_METHODS:
            problems.append(f"outlier_method must be one of {', '.join(OUTLIER_METHODS)}")
        if self.outlier_robust_z <= 0 or self.outlier_iqr_fences <= 0:
            problems.append("outlier_robust_z and outlier_iqr_fences must be above 0")
        if self.future_tolerance_hours < 0 or self.late_after_hours < 0:
            problems.append("future_tolerance_hours and late_after_hours must be 0 or more")
        if self.bot_events_per_day < 0:
            problems.append("bot_events_per_day must be 0 (off) or more")
        if self.item_state_days < 1:
            problems.append("item_state_days must be 1 or more")
        if not 0 <= self.warn_refused_share <= 1:
            problems.append("warn_refused_share must be within 0 and 1")
        if problems:
            raise ValueError("; ".join(problems))
