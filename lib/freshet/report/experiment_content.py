"""What the report shows of experiments, as plain values."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class ArmFigure:
    """A metric of an arm: its mean, the difference from the control, and the interval that is valid at every look."""

    metric: str
    value: float | None
    difference: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Arm:
    """An arm of an experiment; `decision` and `reasons` are None and empty for the control."""

    name: str
    shoppers: int
    decision: str | None
    reasons: tuple[str, ...]
    figures: tuple[ArmFigure, ...]


@dataclass(frozen=True)
class Experiment:
    """The arms of an experiment, the control first. `sample_ratio_p`: probability of such sizes by chance."""

    name: str
    arms: tuple[Arm, ...]
    sample_ratio_p: float
    events_until: datetime

    @property
    def control(self) -> Arm:
        return next((arm for arm in self.arms if arm.decision is None), self.arms[0])

    @property
    def is_invalid(self) -> bool:
        """Whether the arms have the wrong sizes."""
        return any(arm.decision == "invalid" for arm in self.arms)


@dataclass(frozen=True)
class Earnings:
    """What the lists of a model version have earned, by one touch model; version None: lists that others made."""

    version: str | None
    touch_model: str
    lists: int
    impressions: int
    clicks: int
    orders: float
    revenue: float


@dataclass(frozen=True)
class Experiments:
    """Measured experiments, and what lists have earned; one of them can be empty."""

    experiments: tuple[Experiment, ...]
    earnings: tuple[Earnings, ...]
    currency: str | None

    def of_touch(self, touch_model: str) -> tuple[Earnings, ...]:
        return tuple(one for one in self.earnings if one.touch_model == touch_model)
