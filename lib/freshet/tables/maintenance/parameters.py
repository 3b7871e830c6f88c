"""Parameters of the upkeep of tables that micro-batches write."""

from dataclasses import dataclass


@dataclass(frozen=True)
class CompactionParameters:
    """How often lists are compacted and tables tidied, and for how long what is replaced or old is kept.

    Every `every_minutes` the lists of the stream go into `recommendations`; each other table is tidied once in
    `tidy_minutes`. A table with `pack_from_files` small files gets them packed to `pack_mb`.
    Replaced files lie for `vacuum_hours`, those of `events` for `events_vacuum_hours`. Rows of `stream_metrics` and
    `quarantine` live so many days. Of each model the newest `model_versions` are kept, and what serves or served last
    before.
    """

    every_minutes: float
    pack_from_files: int
    pack_mb: int
    tidy_minutes: float
    vacuum_hours: int
    events_vacuum_hours: int
    metrics_days: int
    quarantine_days: int
    model_versions: int

    def __post_init__(self) -> None:
        wrong = [
            f"{name} must be above 0, is {getattr(self, name)}"
            for name in ("every_minutes", "tidy_minutes")
            if not getattr(self, name) > 0
        ]
        wrong += [
            f"{name} must be {least} or more, is {getattr(self, name)}"
            for name, least in _LEAST.items()
            if getattr(self, name) < least
        ]
        if wrong:
            raise ValueError("; ".join(wrong))


_LEAST = {
    "pack_from_files": 2,
    "pack_mb": 1,
    "vacuum_hours": 0,
    "events_vacuum_hours": 0,
    "metrics_days": 1,
    "quarantine_days": 1,
    "model_versions": 1,
}
