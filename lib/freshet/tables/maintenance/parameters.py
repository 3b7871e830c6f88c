"""Parameters of the upkeep of tables that micro-batches write."""

from pydantic import Field

from freshet.core.parameters import parameters


@parameters
class CompactionParameters:
    """How often lists are compacted and tables maintained, and for how long replaced files and old rows are kept."""

    every_minutes: float = Field(gt=0, description="min between compactions")
    pack_from_files: int = Field(
        ge=2, description="number of small files of the stream's lists from which they are packed"
    )
    pack_mb: int = Field(ge=1, description="MB of a packed file")
    tidy_minutes: float = Field(gt=0, description="min in which each other table of the stream is tidied once")
    vacuum_hours: int = Field(
        ge=0, description="hours that replaced files of a table are kept for readers that have opened them"
    )
    events_vacuum_hours: int = Field(ge=0, description="the same for table events")
    metrics_days: int = Field(ge=1, description="days that rows of stream_metrics are kept")
    quarantine_days: int = Field(ge=1, description="days in which refused records can be corrected and replayed")
    model_versions: int = Field(
        ge=1,
        description="newest versions of each model that are kept with their files, in addition to those that serve",
    )
    feature_dates: int = Field(
        ge=1,
        description="newest as_of kept of interactions, features, scores and segments, besides that of the last build",
    )
