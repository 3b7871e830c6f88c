"""Parameters of the live part."""

from dataclasses import dataclass


@dataclass(frozen=True)
class StreamParameters:
    """How the live window is cut into slices, and how the stream is run."""

    slice_hours: int
    fewest_slices: int
    max_events_per_slice: int
    shuffle_partitions: int
    local_checkpoint: bool

    def __post_init__(self) -> None:
        for name in ("slice_hours", "fewest_slices", "max_events_per_slice", "shuffle_partitions"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more, is {getattr(self, name)}")
