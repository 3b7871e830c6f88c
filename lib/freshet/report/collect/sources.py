"""The data sources of the report: records of steps and rows of tables, without Spark."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

import pyarrow as pa
import pyarrow.compute as pc

from freshet.contracts import EVENTS, TableContract
from freshet.core.records import read_record
from freshet.report.content import Missing
from freshet.runs.home import Home
from freshet.runs.step import Step
from freshet.tables.lookups.snapshot import column_ends, some_rows

EVERYTHING = pc.scalar(True)
"""The condition that every row meets."""


@dataclass(frozen=True)
class Sources:
    """One home as the report sees it. `champions` are the served versions by model name, where known.

    `k`: list length at which lists are judged.
    """

    home: Home
    champions: Mapping[str, int]
    k: int

    def record(self, step: Step) -> dict[str, Any] | Missing:
        """The record of a step; Missing if it has not run or has built nothing."""
        found = read_record(self.home.steps, step.name)
        if found is None:
            return Missing(f"step {step.name} has not run in this home")
        return Missing(found["not_built"]) if "not_built" in found else found

    def value(self, step: Step, key: str) -> Any:
        """One value of a step's record; None if there is no such record or value."""
        found = self.record(step)
        return None if isinstance(found, Missing) else found.get(key)

    def rows(
        self, contract: TableContract, columns: Sequence[str], where: pc.Expression, at_most: int
    ) -> list[dict[str, Any]]:
        """At most `at_most` rows of a table, times without zone (UTC); empty if the table does not exist."""
        found = some_rows(self.home.warehouse, contract, columns=columns, where=where, at_most=at_most)
        return [{name: naive(value) for name, value in row.items()} for row in found]

    def currency(self) -> str | None:
        """The currency of all events; None if there are several, or none is known."""
        ends = column_ends(self.home.warehouse, EVENTS, "currency")
        return ends[0] if ends is not None and ends[0] == ends[1] else None

    def served_version(self, model: str, step: Step) -> str | None:
        """The value of column model_version for the version that serves, else for the one that was trained last."""
        version = self.champions.get(model) or self.value(step, "version")
        return None if version is None else f"{version}.0"


def naive(value: Any) -> Any:
    """A time as UTC without zone, any other value unchanged."""
    return value.astimezone(UTC).replace(tzinfo=None) if isinstance(value, datetime) and value.tzinfo else value


def equals(column: str, value: Any) -> pc.Expression:
    """The condition that a column has a value; times are UTC without zone."""
    return pc.field(column) == _scalar(value)


def before(column: str, moment: datetime) -> pc.Expression:
    """The condition that a time column is before a moment."""
    return cast(pc.Expression, pc.field(column) < _scalar(moment))


def among(column: str, values: Iterable[str]) -> pc.Expression:
    """The condition that a string column has one of the values."""
    return cast(pc.Expression, pc.field(column).isin(pa.array(sorted(values), pa.string())))


def _scalar(value: Any) -> pa.Scalar:
    if isinstance(value, datetime):
        return pa.scalar(value.replace(tzinfo=UTC), pa.timestamp("us", tz="UTC"))
    return pa.scalar(value)
