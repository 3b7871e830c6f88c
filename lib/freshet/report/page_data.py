"""What the page of a report shows, as plain values. A part that could not be built is `Missing`, with its reason."""

from dataclasses import dataclass
from datetime import datetime

from freshet.report.page_figures import Live, Propensity, Quality, Segments

Count = tuple[str, int]
"""A name (reason code, event name, flag) and how many."""


@dataclass(frozen=True)
class Missing:
    """Stands where a part would be: why it is not there, in words."""

    reason: str


@dataclass(frozen=True)
class Intake:
    """What came in: raw_rows = accepted + sum of `refused`. `limits`: (name, low, high) outside of which is flagged."""

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
    """How the run divided time (UTC): learned before validation_cut and cut, chosen up to cut, tested up to as_of.

    `first` is the oldest event, None when unknown. `target` is the event that lists aim at, by its GA4 name.
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
    """What the served score weighs. `weights` is by task: (term, weight), heaviest first. `facts` are (name, value)."""

    policy: str | None
    weights: tuple[tuple[str, tuple[tuple[str, float], ...]], ...]
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class HistoryLine:
    """Something a shopper did; `is_live` when it happened in the replayed days."""

    time: datetime
    event_name: str
    item_id: str
    item_name: str | None
    quantity: float | None
    is_live: bool


@dataclass(frozen=True)
class Place:
    """A place of a list. `reason` as stored; `reason_item`: name of the item in it; `is_new`: not in the batch list."""

    position: int
    item_id: str
    item_name: str | None
    reason: str
    reason_item: str | None
    is_new: bool


@dataclass(frozen=True)
class Shopper:
    """A shopper as an example: newest events and current list. `kind` says in words why this one was chosen."""

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
    """A model that was trained or serves; `serves` None when unknown. `reasons` are those of the gate."""

    name: str
    version: str
    serves: bool | None
    accepted: bool | None
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A Delta table: what a row is, its rows, live files and newest version."""

    name: str
    row: str
    rows: int
    files: int
    version: int


@dataclass(frozen=True)
class StepFacts:
    """A step of the run and how long it took; `not_built` says why nothing came of it."""

    title: str
    seconds: float | None
    not_built: str | None


@dataclass(frozen=True)
class Page:
    """The whole report. `k`: length of lists at which they are judged; `lists`: shoppers with a batch list.

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
    recipe: Recipe | Missing
    live: Live | Missing
    segments: Segments | Missing
    propensity: Propensity | Missing
    shoppers: tuple[Shopper, ...] | Missing
    lists: int | None
    models: tuple[Model, ...] | Missing
    tables: tuple[Table, ...] | Missing
    steps: tuple[StepFacts, ...]

    @property
    def not_built(self) -> tuple[StepFacts, ...]:
        return tuple(step for step in self.steps if step.not_built is not None)
