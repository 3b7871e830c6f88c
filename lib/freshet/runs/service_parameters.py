"""Parameters of the live part."""

from dataclasses import dataclass

_CENTURY_DAYS = 36_525.0


@dataclass(frozen=True)
class StreamParameters:
    """How the live window is cut into slices, one per micro-batch, and how the stream is run.

    A slice spans `slice_hours`, less where the window would not give `fewest_slices`; one with more than
    `max_events_per_slice` is taken in several micro-batches. `local_checkpoint` chooses the quick checkpoint writer of
    local disks.
    """

    slice_hours: float
    fewest_slices: int
    max_events_per_slice: int
    local_checkpoint: bool

    def __post_init__(self) -> None:
        wrong = [
            f"{name} must be 1 or more, is {getattr(self, name)}"
            for name in ("fewest_slices", "max_events_per_slice")
            if getattr(self, name) < 1
        ]
        if not self.slice_hours > 0:
            wrong.append(f"slice_hours must be above 0, is {self.slice_hours}")
        if wrong:
            raise ValueError("; ".join(wrong))


@dataclass(frozen=True)
class ServiceParameters:
    """How the service runs its streams.

    A micro-batch reads at most `most_list_events` (lists), `most_intake_events` (events) or `most_item_records` (what
    is told of items) records of a topic, or `most_list_files` of table events, `most_intake_files` of a folder or of a
    table of the shop; commits to such a table that change or delete rows are passed over whole where
    `skip_changed_commits` says so, else they end the stream. Events, and what is told of items, are taken in every
    `intake_seconds`, lists are made as soon as there is something. An event id is remembered for `repeat_hours`. Of
    the files of a folder or table about `most_collected_events` records are in memory together. The registry is asked
    for the champion every
    `swap_check_seconds`. A micro-batch may take `stop_seconds` to end when the service is stopped. After a crash
    it starts again, `restarts` times before one of them has lasted `settled_seconds`; the first waits
    `restart_seconds`, each next one twice as long. Every `item_refresh_minutes` (0: never) items that the model does
    not know are added to it, at most `most_new_items`, by what at most `most_new_item_shoppers` have shown to want.
    Histories whose newest event is more than `history_days` before the event clock (`anonymous_history_days` of
    anonymous ids; 0: never) are forgotten.
    """

    intake_seconds: float
    most_intake_events: int
    most_item_records: int
    most_intake_files: int
    skip_changed_commits: bool
    most_list_events: int
    most_list_files: int
    most_collected_events: int
    repeat_hours: float
    swap_check_seconds: float
    stop_seconds: float
    restarts: int
    restart_seconds: float
    settled_seconds: float
    item_refresh_minutes: float
    most_new_items: int
    most_new_item_shoppers: int
    history_days: float
    anonymous_history_days: float

    def __post_init__(self) -> None:
        wrong = [
            f"{name} must be 1 or more, is {getattr(self, name)}"
            for name in (
                "most_intake_events",
                "most_item_records",
                "most_intake_files",
                "most_list_events",
                "most_list_files",
                "most_collected_events",
            )
            if getattr(self, name) < 1
        ]
        wrong += [
            f"{name} must be 0 or more, is {getattr(self, name)}"
            for name in (
                "intake_seconds", "swap_check_seconds", "stop_seconds", "restarts",
                "restart_seconds", "settled_seconds", "item_refresh_minutes", "most_new_items",
                "most_new_item_shoppers", "history_days", "anonymous_history_days",
            )
            if getattr(self, name) < 0
        ]  # fmt: skip
        wrong += [
            f"{name} must be at most {_CENTURY_DAYS:g} days, is {getattr(self, name):g}"
            for name in ("history_days", "anonymous_history_days")
            if getattr(self, name) > _CENTURY_DAYS
        ]
        if not self.repeat_hours > 0:
            wrong.append(f"repeat_hours must be above 0, is {self.repeat_hours}")
        if wrong:
            raise ValueError("; ".join(wrong))
