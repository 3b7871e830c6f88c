"""Runs a step, records it, and skips it if it is up to date."""

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
    """How a step ended: done, up to date or not built (with the reason), and how many seconds it took."""

    step: str
    title: str
    status: str
    seconds: float
    record: dict[str, Any]


def run_step(step: Step, job: Job) -> StepResult:
    """Runs a step unless its record shows that nothing it depends on has changed.

    A step can read only the settings and tables that it declares. They make up its fingerprint, so a change of anything
    that it reads is noticed. The record, which lists what was read, is written last, so a killed step is run again.

    Raises DeclarationError if the step reads something undeclared; BusyError if it has something to do and is already
    running, or another process writes one of its tables in this home; StateError if one of the tables that it reads or
    writes is damaged, even if it has nothing to do; ContractError, before anything is written, if one of its tables was
    changed by hand.
    """
    started = time.monotonic()
    # Whether a step is up to date depends on versions only, and a table keeps its version if its files are lost.
    check_tables(job.home, dict.fromkeys((*step.reads, *step.writes)))
    access = Access(step)
    seen = job.within(access)
    # Computed once: that of an ingest reads all of its files. Later changes are noticed by the next run.
    key = fingerprint(_parts(step, job, seen))
    current = _current_result(step, job, key, started)
    if current is not None:
        return current
    tables = partial(table_leases, job.home.locks, [table.name for table in step.writes])
    with (
        lease(job.home.locks, "job", step.name),
        when_free(tables, seconds=step.patience_seconds, notify=job.notify),
    ):
        # Checked again: another run may have done the work before this one got the leases.
        current = _current_result(step, job, key, started)
        if current is not None:
            return current
        # All tables before the first is written: a failure between two would leave the first ahead of the others.
        check_table_columns(job.home.warehouse, step.writes)
        try:
            outcome = step.work(seen, key)
            status = DONE
        except DataTooSmallError as reason:
            outcome, status = {"not_built": str(reason)}, NOT_BUILT
        seconds = time.monotonic() - started
        versions = {table.name: job.warehouse.version(table) for table in step.writes}
        read = {"settings": access.values(job.settings), "tables": sorted(access.tables)}
        record = {**outcome, "fingerprint": key, "seconds": round(seconds, 2), "wrote": versions, "read": read}
        write_record(job.home.steps, step.name, record)
        if "windows" in (read_record(job.home.steps, BUILD.name) or {}):
            forget_old_dates(job.warehouse, step.writes, job.settings.compaction, current=job.windows().cut)
        remove_unread(job.warehouse, step.writes, job.settings.compaction)
        return StepResult(step.name, step.title, status, seconds, record)


def _current_result(step: Step, job: Job, key: str, started: float) -> StepResult | None:
    """The result of the last run of a step if it is up to date, else None."""
    last = read_record(job.home.steps, step.name)
    if last is None or last["fingerprint"] != key or not _outputs_exist(step, last, job):
        return None
    status = NOT_BUILT if "not_built" in last else UP_TO_DATE
    return StepResult(step.name, step.title, status, time.monotonic() - started, last)


def _parts(step: Step, job: Job, seen: Job) -> dict[str, Any]:
    # Everything declared, read or not: it must be known before the work starts, and by it the run after a killed one
    # finds what is already registered.
    settings = {name: dataclasses.asdict(getattr(job.settings, name)) for name in step.sections}
    return {
        "step": step.name,
        "code": __version__,
        "settings": settings,
        "reads": {table.name: job.warehouse.version(table) for table in step.reads},
        **step.inputs(seen),
    }


def _outputs_exist(step: Step, record: dict[str, Any], job: Job) -> bool:
    """Whether all tables that the step writes exist in at least the version that it wrote; in exactly that version if
    its result depends on the rows of others."""
    wrote = record["wrote"]
    if any(table.name not in wrote for table in step.writes):
        return False
    versions = [(job.warehouse.version(table), wrote[table.name]) for table in step.writes]
    return all(now == then if step.adds_to_others else now >= then for now, then in versions)
