"""When each message of a replay is due."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Pace:
    """A fixed number of messages a second, or the events' own times run faster; with neither, as fast as it goes."""

    rate: float | None = None
    speed_up: float | None = None

    def __post_init__(self) -> None:
        if self.rate is not None and self.speed_up is not None:
            raise ValueError("rate and speed_up exclude each other")
        if any(value is not None and value <= 0 for value in (self.rate, self.speed_up)):
            raise ValueError("rate and speed_up must be above 0")

    def due(self, number: int, after: float) -> float:
        """Seconds from the start to message `number` (from 0), whose event came `after` seconds after the first."""
        if self.rate is not None:
            return number / self.rate
        return after / self.speed_up if self.speed_up is not None else 0.0
