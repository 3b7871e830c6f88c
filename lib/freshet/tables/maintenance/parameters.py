"""Parameters of the upkeep of tables that micro-batches write."""

from pydantic import Field

from freshet.core.parameters import parameters


@parameters
class CompactionParameters:
    """How often lists are compacted and tables maintained, and for how long replaced files and old rows are kept."""

    every_minutes: float = Field(gt=0, description="min between compactions")
    pack_from_files: int = Field(
        ge=2, description="number of small files of the stream's lists at which they are packed"
    )
    pack_mb: int = Field(ge=1, description="MB of a packed file")
    tidy_minutes: float = Field(gt=0, description="min between maintenance runs of each other table of the stream")
    vacuum_hours: int = Field(
        ge=0, description="hours that replaced files of a table are kept for readers that have opened them"
    )
    events_vacuum_hours: int = Field(ge=0, description="the same for table events")
    metrics_days: int = Field(ge=1, description="days that rows of stream_metrics are kept")
    quarantine_days: int = Field(ge=1, description="days that refused records are kept, to be corrected and replayed")
    model_versions: int = Field(
        ge=1, description="newest versions of each model kept with their files, besides those that serve"
    )
    feature_dates: int = Field(
        ge=1,
        description="newest as_of kept of interactions, features, scores and segments, besides that of the last build",
    )
