"""The context of a run: its session, home and settings, and the DataFrames that its steps share."""

import copy
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar, cast

from py4j.protocol import Py4JError
from pyspark.sql import DataFrame, SparkSession

from freshet.core.errors import StateError
from freshet.core.records import read_record
from freshet.evaluation.splitting import Windows
from freshet.runs.access import Access, StepWarehouse, settings_view
from freshet.runs.home import Home
from freshet.runs.settings import Settings
from freshet.runs.step import Step
from freshet.runs.steps import BUILD
from freshet.tables.format.kept_rows import Keeper, KeptRows
from freshet.tables.warehouse import Warehouse

Rows = TypeVar("Rows", DataFrame, KeptRows)

_ABANDONED_AFTER = timedelta(days=2)
"""Age from which rows kept by other jobs are left over from killed ones. No job takes that long."""


@dataclass
class _Shared:
    """Rows that steps share, None until they are computed."""

    rows: DataFrame | KeptRows | None = None
    making: threading.Lock = field(default_factory=threading.Lock)


@dataclass
class Job:
    """One run in one home. `source`, `input_path`, `as_of` and `topic` are options of the steps that declare them.

    `notify` is called with messages about progress within a step.
    """

    spark: SparkSession
    home: Home
    settings: Settings
    source: Path | None = None
    input_path: Path | None = None
    as_of: datetime | None = None
    topic: str | None = None
    notify: Callable[[str], None] = field(default=lambda text: None)
    _shared: dict[str, "_Shared"] = field(default_factory=dict, init=False)
    _keeper: Keeper = field(init=False)
    _access: Access | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._keeper = Keeper(self.home.kept)

    @staticmethod
    def now() -> datetime:
        """Wall time, UTC without zone: for generated_at and the like, never for anything that affects a result."""
        return datetime.now(UTC).replace(tzinfo=None)

    @property
    def warehouse(self) -> Warehouse:
        """The tables of the home; within a step only those that it declares."""
        if self._access is not None:
            return StepWarehouse(self.spark, self.home.warehouse, self._access)
        return Warehouse(self.spark, self.home.warehouse)

    def record(self, step: Step) -> dict[str, Any]:
        """The record of an earlier step. Raises StateError if it has not run."""
        record = read_record(self.home.steps, step.name)
        if record is None:
            raise StateError(
                f"step {step.name} has not run in this home",
                where=str(self.home.root),
                do=f"Run `freshet {step.command}` first",
            )
        return record

    def shared(self, name: str, make: Callable[[], DataFrame]) -> DataFrame:
        """A DataFrame that several steps of one run need, computed once and persisted until the session ends.

        `name` must identify everything that determines its content. `make` may use other shared DataFrames.
        """
        return self._once(name, lambda: make().persist())

    def kept(self, name: str, make: Callable[[], DataFrame]) -> KeptRows:
        """Like `shared`, for rows that workers read too: on disk, under another name, until the job is closed."""
        return self._once(name, lambda: self._keeper.kept(make()))

    def _once(self, name: str, make: Callable[[], Rows]) -> Rows:
        # setdefault is atomic, so parallel steps find the same entry.
        shared = self._shared.setdefault(name, _Shared())
        with shared.making:
            if shared.rows is None:
                shared.rows = make()
            return cast(Rows, shared.rows)

    def close(self) -> None:
        """Stops the session and removes what was kept for the steps."""
        with suppress(OSError, Py4JError):  # without a Java process there is no session to stop
            self.spark.stop()
        self._keeper.close()
        self._keeper.forget_others(self.now() - _ABANDONED_AFTER)

    def with_progress(self, notify: Callable[[str], None]) -> "Job":
        """The same job, with the same shared DataFrames, that reports its progress to `notify`."""
        job = copy.copy(self)
        job.notify = notify
        return job

    def within(self, access: Access) -> "Job":
        """The same job as a step sees it: only the declared settings and tables, with all reads recorded."""
        job = copy.copy(self)
        job.settings, job._access = settings_view(self.settings, access), access
        return job

    def windows(self) -> Windows:
        """The windows that the build step has set for this home."""
        found = self.record(BUILD)["windows"]
        moments = {name: datetime.fromisoformat(found[name]) for name in ("as_of", "cut", "validation_cut")}
        return Windows(**moments, shortened=found["shortened"])
