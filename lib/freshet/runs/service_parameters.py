"""Parameters of the live part."""

from pydantic import Field

from freshet.core.parameters import parameters

_CENTURY_DAYS = 36_525.0


@parameters
class StreamParameters:
    """How the live window is cut into slices, one per micro-batch, and how the stream is run."""

    slice_hours: float = Field(gt=0, description="hours of events a micro-batch of the replay takes")
    fewest_slices: int = Field(ge=1, description="a live window too short for so many slices is cut into so many")
    max_events_per_slice: int = Field(
        ge=1, description="more events of a slice are taken in several micro-batches: bounds a micro-batch's memory"
    )
    local_checkpoint: bool = Field(
        description="the quick checkpoint writer of local disks; false on network and object storage"
    )


@parameters
class ServiceParameters:
    """How the service runs its streams."""

    intake_seconds: float = Field(
        ge=0, description="s between micro-batches that take events in; lists do not wait for them"
    )
    most_intake_events: int = Field(
        ge=1, description="records of such a micro-batch: bounds what a backlog takes at a time"
    )
    most_item_records: int = Field(
        ge=1, description="likewise records about items: their items, with all states of each, are in memory"
    )
    most_intake_files: int = Field(
        ge=1, description="likewise files, where events come in a folder or a Delta table of the shop"
    )
    skip_changed_commits: bool = Field(
        description="pass over commits that change or delete rows of such a table, with all that they add"
    )
    most_list_events: int = Field(
        ge=1, description="likewise for a micro-batch of lists: the larger, the fewer lists a backlog costs"
    )
    most_list_files: int = Field(ge=1, description="likewise files of table events, each of up to most_intake_events")
    most_collected_events: int = Field(
        ge=1, description="records of a folder that are in memory together (about 700 bytes each)"
    )
    repeat_hours: float = Field(
        gt=0, description="hours for which an event id is remembered, 16 bytes each, to refuse events sent again"
    )
    swap_check_seconds: float = Field(ge=0, description="s between looks for a new champion")
    stop_seconds: float = Field(ge=0, description="s that a micro-batch may take to end when the service is stopped")
    restarts: int = Field(ge=0, description="starts in succession after crashes; then the service ends")
    restart_seconds: float = Field(ge=0, description="s before the first of them; each next one waits twice as long")
    settled_seconds: float = Field(ge=0, description="s after which a start has lasted and the count begins anew")
    item_refresh_minutes: float = Field(
        ge=0, description="min between looks for items that the model does not know; 0: never"
    )
    most_new_items: int = Field(ge=0, description="items that a refresh adds at most")
    most_new_item_shoppers: int = Field(
        ge=0, description="strengths of shoppers and new items that it learns from at most, the strongest"
    )
    history_days: float = Field(
        ge=0,
        le=_CENTURY_DAYS,
        description="days without an event after which the stream forgets a customer's history; 0: never",
    )
    anonymous_history_days: float = Field(ge=0, le=_CENTURY_DAYS, description="likewise an anonymous id's")
