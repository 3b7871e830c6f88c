"""The parts of a report that hold figures: quality of lists, the live part, segments, purchase probability."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Figure:
    """One row of evaluation_results: a metric of a model on a task, with its 95 % interval where there is one."""

    task: str
    model: str
    metric: str
    k: int
    value: float | None
    low: float | None
    high: float | None
    users: int


@dataclass(frozen=True)
class Quality:
    """Figures of lists and of plain methods on days that were not learned from. `ours` names the model that is ours."""

    figures: tuple[Figure, ...]
    ours: str

    @property
    def tasks(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(figure.task for figure in self.figures))

    def at(self, task: str, metric: str, k: int) -> tuple[Figure, ...]:
        """The known figures of a task, best first, ties by model."""
        chosen = (f for f in self.figures if (f.task, f.metric, f.k) == (task, metric, k) and f.value is not None)
        return tuple(sorted(chosen, key=lambda f: (-(f.value or 0.0), f.model)))

    def own(self, task: str, metric: str, k: int) -> Figure | None:
        """Freshet's own figure."""
        return next((figure for figure in self.at(task, metric, k) if figure.model == self.ours), None)

    def best_plain(self, task: str, metric: str, k: int) -> Figure | None:
        """The best figure of a plain method; a champion of before is none."""
        others = (figure for figure in self.at(task, metric, k) if "/" in figure.model)
        return next(others, None)


@dataclass(frozen=True)
class Batch:
    """One micro-batch of the live part; `event_clock` is the newest event time so far (UTC)."""

    number: int
    event_clock: datetime
    shoppers: int
    lists: int
    seconds: float


@dataclass(frozen=True)
class Live:
    """The replayed days: what was written, how long it took, and lists judged before and after fold-in."""

    batches: tuple[Batch, ...]
    lists: int
    unknown_items: int
    seconds_p50: float | None
    seconds_p95: float | None
    figures: tuple[Figure, ...]

    def figure(self, model: str, metric: str, k: int) -> Figure | None:
        """The figure of before_fold_in or after_fold_in, None when it is not known."""
        return next((f for f in self.figures if (f.model, f.metric, f.k) == (model, metric, k)), None)


@dataclass(frozen=True)
class Segment:
    """A group of shoppers with its means; None where the source does not know them."""

    name: str
    size: int
    recency_days: float | None
    orders: float | None
    monetary: float | None
    tenure_days: float | None
    items_breadth: float | None


@dataclass(frozen=True)
class Segments:
    """All segments of the served model, by falling value; `silhouette` (-1 to 1) says how clearly they are parted."""

    segments: tuple[Segment, ...]
    currency: str | None
    silhouette: float | None

    @property
    def shoppers(self) -> int:
        return sum(segment.size for segment in self.segments)


@dataclass(frozen=True)
class Bin:
    """Cases whose predicted probability lies in [low, high): their number, mean prediction and observed share."""

    low: float
    high: float
    n: int
    mean_predicted: float
    observed_share: float


@dataclass(frozen=True)
class Propensity:
    """Quality of the purchase probability at `test_cut` (UTC). `metrics` by name, as evaluation names them."""

    metrics: dict[str, float]
    bins: tuple[Bin, ...]
    test_cut: datetime | None
    horizon_days: int | None
    shoppers: int
