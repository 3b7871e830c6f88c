"""What became of the records of an input, as figures."""

from dataclasses import dataclass, field

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from freshet.contracts.events import EVENT_FLAGS


@dataclass(frozen=True)
class Summary:
    """Counts of `judged` records: accepted, refused by reason, accepted by event name."""

    accepted: int
    refused: dict[str, int] = field(default_factory=dict)
    by_event_name: dict[str, int] = field(default_factory=dict)
    examples: dict[str, str] = field(default_factory=dict)

    @property
    def all_refused(self) -> int:
        return sum(self.refused.values())


def summary(records: DataFrame) -> Summary:
    """Counts of `judged` records and a message of each reason as example. Runs one job."""
    is_refused = F.col("reason_code").isNotNull()
    groups = (
        records.groupBy("reason_code", F.when(~is_refused, F.col("event_name")).alias("event_name"))
        .agg(F.count(F.lit(1)).alias("rows"), F.min(F.when(is_refused, F.col("message"))).alias("example"))
        .collect()  # bounded: reasons times event names
    )
    refused: dict[str, int] = {}
    for row in sorted(groups, key=lambda one: (-one["rows"], one["reason_code"] or "")):
        if row["reason_code"] is not None:
            refused[row["reason_code"]] = row["rows"]
    names = {row["event_name"]: row["rows"] for row in groups if row["reason_code"] is None}
    return Summary(
        accepted=sum(names.values()),
        refused=refused,
        by_event_name=dict(sorted(names.items(), key=lambda pair: (-pair[1], pair[0]))),
        examples={row["reason_code"]: row["example"] for row in groups if row["reason_code"] is not None},
    )


def written_counts(events: DataFrame) -> tuple[int, dict[str, int]]:
    """The number of events, and how many have each flag: those that none has are left out. Runs one job."""
    flagged = {flag: F.count_if(F.array_contains("flags", flag)).alias(flag) for flag in sorted(EVENT_FLAGS)}
    row = events.agg(F.count(F.lit(1)).alias("events"), *flagged.values()).first()
    assert row is not None  # an aggregate without grouping has exactly one row
    return row["events"], {flag: row[flag] for flag in flagged if row[flag]}
