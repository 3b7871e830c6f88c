"""The one way in which steps are run, recorded and found to be up to date."""

import dataclasses
import time
from dataclasses import dataclass
from functools import partial
from typing import Any

from freshet import __version__
from freshet.core.errors import DataTooSmallError
from freshet.core.records import fingerprint, read_record, write_record
from freshet.runs.access import Access
from freshet.runs.job import Job
from freshet.runs.step import Step
from freshet.runs.steps import BUILD
from freshet.runs.table_damage import check_tables
from freshet.runs.waiting import when_free
from freshet.tables.format.columns import check_table_columns
from freshet.tables.leases import lease, table_leases
from freshet.tables.maintenance.upkeep import forget_old_dates, remove_unread

DONE, UP_TO_DATE, NOT_BUILT = "done", "up to date", "not built"


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

    A step sees the settings and tables that it declares, and these are its fingerprint, so nothing that it reads can
    change without its notice; DeclarationError when it reads something else. The record keeps what it has read. It is
    written last, so a killed step is run again. Raises BusyError when it has something to do and runs already, or
    another process writes one of its tables in this home; StateError when one of the tables that it reads or writes is
    damaged, also where it would have nothing to do; and ContractError, before anything is written, when one of its
    tables was changed by hand.
    """
    started = time.monotonic()
    # Versions alone decide what is up to date, and a table keeps its version when its files are lost.
    check_tables(job.home, dict.fromkeys((*step.reads, *step.writes)))
    access = Access(step)
    seen = job.within(access)
    # Once: the fingerprint of an intake reads all of its files. What changes behind it is seen by the next run.
    print_ = fingerprint(_parts(step, job, seen))
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
            kept = step.work(seen, print_)
            status = DONE
        except DataTooSmallError as reason:
            kept, status = {"not_built": str(reason)}, NOT_BUILT
        seconds = time.monotonic() - started
        versions = {table.name: job.warehouse.version(table) for table in step.writes}
        read = {"settings": access.values(job.settings), "tables": sorted(access.tables)}
        record = {**kept, "fingerprint": print_, "seconds": round(seconds, 2), "wrote": versions, "read": read}
        write_record(job.home.steps, step.name, record)
        if "windows" in (read_record(job.home.steps, BUILD.name) or {}):
            forget_old_dates(job.warehouse, step.writes, job.settings.compaction, current=job.windows().cut)
        remove_unread(job.warehouse, step.writes, job.settings.compaction)
        return StepResult(step.name, step.title, status, seconds, record)


def _standing(step: Step, job: Job, print_: str, started: float) -> StepResult | None:
    """The result of a step that has nothing to do, None for one that has."""
    last = read_record(job.home.steps, step.name)
    if last is None or last["fingerprint"] != print_ or not _outputs_exist(step, last, job):
        return None
    status = NOT_BUILT if "not_built" in last else UP_TO_DATE
    return StepResult(step.name, step.title, status, time.monotonic() - started, last)


def _parts(step: Step, job: Job, seen: Job) -> dict[str, Any]:
    # All that is declared, read or not: it must be known before the work, and a run that was killed finds by it what it
    # has registered.
    settings = {name: dataclasses.asdict(getattr(job.settings, name)) for name in step.sections}
    return {
        "step": step.name,
        "code": __version__,
        "settings": settings,
        "reads": {table.name: job.warehouse.version(table) for table in step.reads},
        **step.inputs(seen),
    }


def _outputs_exist(step: Step, record: dict[str, Any], job: Job) -> bool:
    """Whether the tables that the step writes are still there, none of them older than it left them, and as it left
    them where the rows of others decide its result."""
    wrote = record["wrote"]
    if any(table.name not in wrote for table in step.writes):
        return False
    versions = [(job.warehouse.version(table), wrote[table.name]) for table in step.writes]
    return all(version == left if step.adds_to_others else version >= left for version, left in versions)
