"""What every step gets, and the one way in which steps are run, recorded and found to be up to date."""

import copy
import dataclasses
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

from pyspark.sql import DataFrame, SparkSession

from freshet import __version__
from freshet.contracts import TABLES, TableContract
from freshet.core.errors import DataTooSmallError, StateError
from freshet.core.records import fingerprint, read_record, write_record
from freshet.evaluation.splitting import Windows
from freshet.runs.home import Home
from freshet.runs.settings import Settings
from freshet.runs.titles import OTHER_TITLES, TITLES
from freshet.runs.waiting import when_free
from freshet.tables.columns import check_table_columns
from freshet.tables.kept_rows import Keeper, KeptRows
from freshet.tables.leases import lease, table_leases
from freshet.tables.maintenance.upkeep import remove_unread
from freshet.tables.warehouse import Warehouse

Rows = TypeVar("Rows", DataFrame, KeptRows)

_FORGOTTEN = timedelta(days=2)
"""Age of what was left by a job that was killed. No job lasts so long."""

DONE, UP_TO_DATE, NOT_BUILT = "done", "up to date", "not built"


@dataclass
class _Shared:
    """Rows that steps share, None until they are made."""

    rows: DataFrame | KeptRows | None = None
    making: threading.Lock = field(default_factory=threading.Lock)


@dataclass
class Job:
    """One run in one home. `source` and `input_path` are needed by ingest only, `as_of` is the user's wish.

    `notify` hears of progress within a step.
    """

    spark: SparkSession
    home: Home
    settings: Settings
    source: Path | None = None
    input_path: Path | None = None
    as_of: datetime | None = None
    notify: Callable[[str], None] = field(default=lambda text: None)
    _shared: dict[str, "_Shared"] = field(default_factory=dict, init=False)
    _keeper: Keeper = field(init=False)

    def __post_init__(self) -> None:
        self._keeper = Keeper(self.home.kept)

    @staticmethod
    def now() -> datetime:
        """Wall time, UTC without zone: for generated_at and the like, never for anything that decides a result."""
        return datetime.now(UTC).replace(tzinfo=None)

    @property
    def warehouse(self) -> Warehouse:
        return Warehouse(self.spark, self.home.warehouse)

    def record(self, step: str) -> dict[str, Any]:
        """What an earlier step recorded; StateError when it has not run."""
        record = read_record(self.home.steps, step)
        if record is None:
            raise StateError(
                f"step {step} has not run in this home",
                where=str(self.home.root),
                do=f"Run `freshet {step}` first",
            )
        return record

    def shared(self, name: str, make: Callable[[], DataFrame]) -> DataFrame:
        """A frame that several steps of one run need, made once and kept until the session ends.

        `name` must tell all that decides its content. `make` may ask for other shared frames.
        """
        return self._once(name, lambda: make().persist())

    def kept(self, name: str, make: Callable[[], DataFrame]) -> KeptRows:
        """`shared` of rows that workers read too: on disk, under another name, until the job is closed."""
        return self._once(name, lambda: self._keeper.kept(make()))

    def _once(self, name: str, make: Callable[[], Rows]) -> Rows:
        # One look-up that is never broken off, so that steps side by side find the same entry.
        shared = self._shared.setdefault(name, _Shared())
        with shared.making:
            if shared.rows is None:
                shared.rows = make()
            return cast(Rows, shared.rows)

    def close(self) -> None:
        """Ends its session; what was kept for its steps is gone."""
        self.spark.stop()
        self._keeper.close()
        self._keeper.forget_others(self.now() - _FORGOTTEN)

    def with_progress(self, notify: Callable[[str], None]) -> "Job":
        """The same job, with shared frames shared, whose progress is told to `notify`."""
        heard = copy.copy(self)
        heard.notify = notify
        return heard

    def windows(self) -> Windows:
        """The windows that the build step has fixed for this home."""
        found = self.record("build")["windows"]
        moments = {name: datetime.fromisoformat(found[name]) for name in ("as_of", "cut", "validation_cut")}
        return Windows(**moments, shortened=found["shortened"])


@dataclass(frozen=True)
class Step:
    """A step: what it writes and reads, which settings decide its result, and the function that does it.

    `name` has a title in titles.py; `after` names the steps that must have ended before. `inputs` adds what else
    decides the result (files, model versions). `work` returns what the record should keep. A table that another
    process writes is waited for `patience_seconds`.
    """

    name: str
    after: tuple[str, ...]
    writes: tuple[TableContract, ...]
    reads: tuple[TableContract, ...]
    sections: tuple[str, ...]
    inputs: Callable[[Job], dict[str, Any]]
    work: Callable[[Job, str], dict[str, Any]]
    patience_seconds: float = 0.0

    @property
    def title(self) -> str:
        return {**TITLES, **OTHER_TITLES}[self.name]


@dataclass(frozen=True)
class StepResult:
    """How a step ended: done, up to date or not built (with the reason), and in how many seconds."""

    step: str
    title: str
    status: str
    seconds: float
    record: dict[str, Any]


def run_step(step: Step, job: Job) -> StepResult:
    """Runs a step unless its record shows that nothing it depends on has changed.

    The record is written last, so a killed step is run again. Raises BusyError when it has something to do and runs
    already, or another process writes one of its tables in this home, and ContractError, before anything is written,
    when one of its tables was changed by hand.
    """
    started = time.monotonic()
    # Once: the fingerprint of an intake reads all of its files. What changes behind it is seen by the next run.
    print_ = fingerprint(_parts(step, job))
    standing = _standing(step, job, print_, started)
    if standing is not None:
        return standing
    tables = partial(table_leases, job.home.locks, [table.name for table in step.writes])
    with (
        lease(job.home.locks, "job", step.name),
        when_free(tables, seconds=step.patience_seconds, notify=job.notify),
    ):
        # Again: another run may have done it until this one had the tables for itself.
        standing = _standing(step, job, print_, started)
        if standing is not None:
            return standing
        # All before the first is written: a step that stops between two of them leaves the first ahead of the others.
        check_table_columns(job.home.warehouse, step.writes)
        try:
            kept = step.work(job, print_)
            status = DONE
        except DataTooSmallError as reason:
            kept, status = {"not_built": str(reason)}, NOT_BUILT
        seconds = time.monotonic() - started
        versions = {table.name: job.warehouse.version(table) for table in step.writes}
        record = {**kept, "fingerprint": print_, "seconds": round(seconds, 2), "wrote": versions}
        write_record(job.home.steps, step.name, record)
        remove_unread(job.warehouse, step.writes, job.settings.compaction)
        return StepResult(step.name, step.title, status, seconds, record)


def _standing(step: Step, job: Job, print_: str, started: float) -> StepResult | None:
    """The result of a step that has nothing to do, None for one that has."""
    last = read_record(job.home.steps, step.name)
    if last is None or last["fingerprint"] != print_ or not _outputs_exist(last, job):
        return None
    status = NOT_BUILT if "not_built" in last else UP_TO_DATE
    return StepResult(step.name, step.title, status, time.monotonic() - started, last)


def _parts(step: Step, job: Job) -> dict[str, Any]:
    settings = {name: dataclasses.asdict(getattr(job.settings, name)) for name in step.sections}
    return {
        "step": step.name,
        "code": __version__,
        "settings": settings,
        "reads": {table.name: job.warehouse.version(table) for table in step.reads},
        **step.inputs(job),
    }


def _outputs_exist(record: dict[str, Any], job: Job) -> bool:
    """Whether the tables that the step wrote are still there, none of them older than it left them."""
    return all(job.warehouse.version(TABLES[name]) >= version for name, version in record["wrote"].items())
