"""Parameters of the replay and of the service."""

from pydantic import Field

from freshet.core.parameters import parameters

_CENTURY_DAYS = 36_525.0


@parameters
class StreamParameters:
    """How the live window is divided into slices, one per micro-batch, and how the stream is run."""

    slice_hours: float = Field(gt=0, description="hours of events per micro-batch of the replay")
    fewest_slices: int = Field(
        ge=1, description="a live window too short for this many slices is divided into this many"
    )
    max_events_per_slice: int = Field(
        ge=1, description="slices with more events are split into several micro-batches: bounds the memory of each"
    )
    local_checkpoint: bool = Field(
        description="use the fast checkpoint writer for local disks; false on network and object storage"
    )


@parameters
class ServiceParameters:
    """How the service runs its streams."""

    intake_seconds: float = Field(
        ge=0, description="s between micro-batches that ingest events; lists do not wait for them"
    )
    most_intake_events: int = Field(
        ge=1, description="most records of such a micro-batch: bounds how much of a backlog is read at once"
    )
    most_item_records: int = Field(
        ge=1, description="most records about items of a micro-batch: all states of their items are held in memory"
    )
    most_intake_files: int = Field(
        ge=1,
        description="most files of such a micro-batch, when events come from a folder or a Delta table of the shop",
    )
    skip_changed_commits: bool = Field(
        description="skip commits that change or delete rows of such a table, with all rows that they add"
    )
    most_list_events: int = Field(
        ge=1, description="most events of a micro-batch of lists: the larger, the fewer lists are made for a backlog"
    )
    most_list_files: int = Field(
        ge=1, description="most files of table events in such a micro-batch, each of up to most_intake_events"
    )
    most_collected_events: int = Field(
        ge=1, description="most records of a folder that are held in memory at once (about 700 bytes each)"
    )
    repeat_hours: float = Field(
        gt=0, description="hours for which an event id is remembered, 16 bytes each, to refuse repeated events"
    )
    swap_check_seconds: float = Field(ge=0, description="s between checks for a new champion")
    stop_seconds: float = Field(ge=0, description="s that a micro-batch may take to end when the service is stopped")
    restarts: int = Field(ge=0, description="consecutive restarts after crashes before the service ends")
    restart_seconds: float = Field(ge=0, description="s before the first restart; each further one waits twice as long")
    settled_seconds: float = Field(ge=0, description="s of running after which the count of restarts is reset")
    item_refresh_minutes: float = Field(
        ge=0, description="min between checks for items that the model does not know; 0: never"
    )
    most_new_items: int = Field(ge=0, description="most items that a refresh adds")
    most_new_item_shoppers: int = Field(
        ge=0, description="most strengths of shoppers for new items that a refresh learns from, the strongest first"
    )
    history_days: float = Field(
        ge=0,
        le=_CENTURY_DAYS,
        description="days without an event after which the stream forgets a customer's history; 0: never",
    )
    anonymous_history_days: float = Field(
        ge=0, le=_CENTURY_DAYS, description="the same for an anonymous shopper's history; 0: never"
    )
