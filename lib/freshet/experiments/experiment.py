"""What an experiment is: its arms, the shoppers it may have, its time, and what decides it. Plain data."""

from dataclasses import dataclass
from datetime import datetime

BUCKETS = 10_000
"""Shoppers of a layer, and those of an experiment, are divided into so many equal parts."""

METRICS: dict[str, tuple[str, str]] = {
    "conversion": ("buyers", "shoppers"),
    "orders": ("orders", "shoppers"),
    "revenue": ("revenue", "shoppers"),
    "clicks": ("clicks", "shoppers"),
    "revenue_per_list": ("revenue", "lists"),
    "clicks_per_list": ("clicks", "lists"),
}
"""By name the columns whose sums are divided; of all of them more is better."""


@dataclass(frozen=True)
class Arm:
    """`share` and `up_to` are parts of the experiment's shoppers, from 0 to 1: those whom the arm has now, and those
    whom it can grow to without taking a shopper from another arm."""

    name: str
    share: float
    up_to: float


@dataclass(frozen=True)
class GuardRail:
    """A metric that may not fall by more than `tolerance`, a share of the control arm's value."""

    metric: str
    tolerance: float


@dataclass(frozen=True)
class Experiment:
    """The first arm is the control. `first_bucket` to before `end_bucket` are its buckets of the layer; times are UTC
    without zone, `ends` None: not planned yet."""

    name: str
    layer: str
    salt: str
    arms: tuple[Arm, ...]
    starts: datetime
    ends: datetime | None
    metric: str
    guard_rails: tuple[GuardRail, ...] = ()
    minimum_effect: float = 0.0
    """The smallest improvement worth having, a share of the control arm's value."""
    first_bucket: int = 0
    end_bucket: int = BUCKETS
    enabled: bool = True

    @property
    def control(self) -> Arm:
        """The arm that others are compared with."""
        return self.arms[0]

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metric and those of guard-rails, each once."""
        return tuple(dict.fromkeys((self.metric, *(rail.metric for rail in self.guard_rails))))

    def overlaps(self, other: "Experiment") -> bool:
        """Whether the two could have the same shopper at the same time."""
        return (
            self.layer == other.layer
            and self.first_bucket < other.end_bucket
            and other.first_bucket < self.end_bucket
            and (self.ends is None or other.starts < self.ends)
            and (other.ends is None or self.starts < other.ends)
        )
