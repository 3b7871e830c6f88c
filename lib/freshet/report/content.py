"""The content of the report as plain values. A part that could not be built is `Missing`, with its reason."""

from dataclasses import dataclass
from datetime import datetime

from freshet.report.experiment_content import Experiments


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
    """Figures of lists and of plain methods on held-out days. `ours` is the name of Freshet's own model; `protocol`:
    column protocol of evaluation_results, None in homes of earlier releases."""

    figures: tuple[Figure, ...]
    ours: str
    protocol: str | None = None

    @property
    def tasks(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(figure.task for figure in self.figures))

    def at(self, task: str, metric: str, k: int) -> tuple[Figure, ...]:
        """The figures of a task that have a value, best first, ties by model."""
        chosen = (f for f in self.figures if (f.task, f.metric, f.k) == (task, metric, k) and f.value is not None)
        return tuple(sorted(chosen, key=lambda f: (-(f.value or 0.0), f.model)))

    def own(self, task: str, metric: str, k: int) -> Figure | None:
        """Freshet's own figure."""
        return next((figure for figure in self.at(task, metric, k) if figure.model == self.ours), None)

    def best_plain(self, task: str, metric: str, k: int) -> Figure | None:
        """The best figure of a plain method; the previous champion does not count as one."""
        others = (figure for figure in self.at(task, metric, k) if "/" in figure.model)
        return next(others, None)


@dataclass(frozen=True)
class AuditFigure(Figure):
    """One row of audit_results: a figure of a group of shoppers, or of items that lists show."""

    audit: str
    group: str


@dataclass(frozen=True)
class Limit:
    """A limit of the settings on audits, in words; `refusals` and `notes` are what the gate said of the challenger."""

    words: str
    refusals: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Audits:
    """Figures of groups, of lists on `split` (test or validation), in the order of their groups. `ours` is the name of
    Freshet's own model, `task` the task that is shown first, as it is the one that serves. `limits` are those of the
    last gate, `left_out` are (audit, reason)."""

    figures: tuple[AuditFigure, ...]
    ours: str
    split: str
    task: str
    limits: tuple[Limit, ...]
    left_out: tuple[tuple[str, str], ...]

    @property
    def tasks(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((self.task, *(figure.task for figure in self.figures))))

    @property
    def of_shoppers(self) -> tuple[str, ...]:
        """The audits by group of shoppers."""
        return self._with("ndcg")

    @property
    def of_items(self) -> tuple[str, ...]:
        """The audits by group of items."""
        return self._with("exposure_share")

    def _with(self, metric: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(one.audit for one in self.figures if (one.metric, one.model) == (metric, self.ours)))

    def at(self, task: str, audit: str, metric: str) -> tuple[AuditFigure, ...]:
        """Freshet's own figures of the groups of an audit."""
        wanted = (self.ours, task, audit, metric)
        return tuple(one for one in self.figures if (one.model, one.task, one.audit, one.metric) == wanted)

    def lifts(self, task: str) -> tuple[AuditFigure, ...]:
        """The popularity lift of every model, the least popular lists first."""
        found = [one for one in self.figures if (one.task, one.metric) == (task, "popularity_lift")]
        return tuple(sorted(found, key=lambda one: (one.value or 0.0, one.model)))

    def lift(self, task: str) -> float | None:
        """Freshet's own popularity lift."""
        return next((one.value for one in self.lifts(task) if one.model == self.ours), None)


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
    """The replayed days: micro-batches, lists, latency, and figures of lists before and after fold-in."""

    batches: tuple[Batch, ...]
    lists: int
    unknown_items: int
    seconds_p50: float | None
    seconds_p95: float | None
    figures: tuple[Figure, ...]

    def figure(self, model: str, metric: str, k: int) -> Figure | None:
        """The figure of before_fold_in or after_fold_in, None if it is unknown."""
        return next((f for f in self.figures if (f.model, f.metric, f.k) == (model, metric, k)), None)


@dataclass(frozen=True)
class Segment:
    """A group of shoppers with its means; None where the source has no such data."""

    name: str
    size: int
    recency_days: float | None
    orders: float | None
    monetary: float | None
    tenure_days: float | None
    items_breadth: float | None


@dataclass(frozen=True)
class Segments:
    """All segments of the served model, by falling value; `silhouette` (-1 to 1) says how well they are separated."""

    segments: tuple[Segment, ...]
    currency: str | None
    silhouette: float | None

    @property
    def shoppers(self) -> int:
        return sum(segment.size for segment in self.segments)


@dataclass(frozen=True)
class Bin:
    """Cases with a predicted probability in [low, high): their number, mean prediction and observed share."""

    low: float
    high: float
    n: int
    mean_predicted: float
    observed_share: float


@dataclass(frozen=True)
class Propensity:
    """Quality of the purchase probability at `test_cut` (UTC). `metrics` has the metric names of the evaluation."""

    metrics: dict[str, float]
    bins: tuple[Bin, ...]
    test_cut: datetime | None
    horizon_days: int | None
    shoppers: int


Count = tuple[str, int]
"""A name (reason code, event name, flag) and its count."""


@dataclass(frozen=True)
class Missing:
    """Takes the place of a missing part and says in words why it is missing."""

    reason: str


@dataclass(frozen=True)
class Intake:
    """Counts of an ingest; raw_rows = accepted + refused. Values outside `limits` (name, low, high) are flagged."""

    files: int
    raw_rows: int
    accepted: int
    refused: tuple[Count, ...]
    event_names: tuple[Count, ...]
    flags: tuple[Count, ...]
    limits: tuple[tuple[str, float, float], ...]
    items: int

    @property
    def all_refused(self) -> int:
        return sum(count for _, count in self.refused)


@dataclass(frozen=True)
class RunWindows:
    """How the run divided time (UTC): trained before validation_cut, later before cut; settings chosen from
    validation_cut to cut; tested from cut to as_of.

    `first` is the time of the oldest event, None if unknown. `target` is the target event of lists, by its GA4 name.
    """

    first: datetime | None
    validation_cut: datetime
    cut: datetime
    as_of: datetime
    shortened: bool
    target: str

    @property
    def has_test(self) -> bool:
        return self.cut < self.as_of


@dataclass(frozen=True)
class Recipe:
    """The weights of the served score by task: (term, weight), largest first. `facts` are (name, value)."""

    policy: str | None
    weights: tuple[tuple[str, tuple[tuple[str, float], ...]], ...]
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class HistoryLine:
    """An event of a shopper; `is_live` if it happened in the replayed days."""

    time: datetime
    event_name: str
    item_id: str
    item_name: str | None
    quantity: float | None
    is_live: bool


@dataclass(frozen=True)
class Place:
    """An entry of a list. `reason` as stored; `reason_item`: name of its item; `is_new`: not in the batch list."""

    position: int
    item_id: str
    item_name: str | None
    reason: str
    reason_item: str | None
    is_new: bool


@dataclass(frozen=True)
class Shopper:
    """An example shopper with newest events and current list. `kind` says in words why this one was chosen."""

    user_id: str
    kind: str
    segment: str | None
    purchase_probability: float | None
    events: int
    history: tuple[HistoryLine, ...]
    source: str
    model_version: str
    event_clock: datetime
    places: tuple[Place, ...]
    had_batch_list: bool


@dataclass(frozen=True)
class Model:
    """A model that was trained or serves; `serves` is None if unknown. `reasons` are those of the gate."""

    name: str
    version: str
    serves: bool | None
    accepted: bool | None
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A Delta table: what a row is, number of rows, live files and newest version."""

    name: str
    row: str
    rows: int
    files: int
    version: int


@dataclass(frozen=True)
class StepFacts:
    """A step of the run and how long it took; `not_built` says why it built nothing."""

    title: str
    seconds: float | None
    not_built: str | None


@dataclass(frozen=True)
class Page:
    """The whole report. `k`: list length at which lists are judged; `lists`: number of shoppers with a batch list.

    `generated_at` (UTC) is the only value that differs between reports of the same records and tables.
    """

    source: str
    generated_at: datetime
    k: int
    notes: tuple[str, ...]
    intake: Intake | Missing
    windows: RunWindows | Missing
    quality: Quality | Missing
    validation: Quality | Missing
    audits: Audits | Missing
    recipe: Recipe | Missing
    live: Live | Missing
    segments: Segments | Missing
    propensity: Propensity | Missing
    shoppers: tuple[Shopper, ...] | Missing
    lists: int | None
    experiments: Experiments | Missing
    models: tuple[Model, ...] | Missing
    tables: tuple[Table, ...] | Missing
    steps: tuple[StepFacts, ...]

    @property
    def not_built(self) -> tuple[StepFacts, ...]:
        return tuple(step for step in self.steps if step.not_built is not None)
