"""What a step is, and what is declared with it: options, schedule and resources. Imports nothing that computes."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from freshet.contracts import TableContract

if TYPE_CHECKING:
    from freshet.runs.job import Job

BY_HAND, AFTER, ALWAYS = "by hand", "after", "always"
"""Schedules that are not a cron line: not scheduled; as soon as the jobs before it have succeeded; a service, kept
running and started again."""


@dataclass(frozen=True)
class Option:
    """An option of a command, such as `--as-of`.

    `field` is the field of Job that it sets; an option with a `setting` overrides that setting instead. `example` is
    the value shown in the help. A `default` is only described: what decides it is the step.
    """

    field: str
    flag: str
    kind: Literal["path", "text", "moment", "count"]
    help: str
    example: str
    required: bool = False
    setting: str = ""
    default: str = ""


SOURCE = Option("source", "--source", "path", "Mapping of the source (TOML).", "my_shop.toml", required=True)
INPUT = Option("input_path", "--input", "path", "File or folder of raw data.", "events/", required=True)
AS_OF = Option(
    "as_of", "--as-of", "moment", "Moment the run stands at, UTC.", "2011-12-09",
    default="just after the newest event",
)  # fmt: skip
LIVE_DAYS = Option(
    "live_days", "--live-days", "count", "Days before it that are replayed live.", "30",
    setting="windows.live_days", default="30",
)  # fmt: skip
TOPIC = Option("topic", "--topic", "text", "Topic from which the records came.", "events", required=True)


@dataclass(frozen=True)
class Resources:
    """What spark-submit asks for: memory of the driver, number, cores and memory of the executors."""

    driver_memory: str
    executors: int
    executor_cores: int
    executor_memory: str


@dataclass(frozen=True)
class Schedule:
    """When a job is submitted, and with what. `when` is cron in UTC, BY_HAND, AFTER or ALWAYS.

    `arguments` are those of the job script; words in capitals stand for the scheduler's own values.
    """

    when: str
    resources: Resources
    arguments: tuple[str, ...] = ("--home", "HOME")
    master: str = "yarn"


@dataclass(frozen=True)
class Group:
    """Steps that are started together, under one command and one job script."""

    name: str
    help: str
    schedule: Schedule


@dataclass(frozen=True)
class Step:
    """A step: what it writes and reads, which settings decide its result, and the functions that do it.

    `after` names the steps that must have ended before; with `after_all` it is all other steps of the main job.
    `inputs(job)` adds what else decides the result (files, model versions); `work(job, fingerprint)` writes the tables
    and returns what the record should keep. Both see the tables and the sections of the settings that are declared
    here, and no others. `also_reads` and `also_sections` may be read too, but when they change, the step need not run
    again.

    A table that another process writes is waited for `patience_seconds`. A step that `adds_to_others` runs again when
    others have written to its tables since: its result depends on the rows that were there. A step that
    `starts_home` may be the first in a home. `check` is given the paths among its options and raises what is wrong with
    them before Spark is started. `summary` is printed at the end of a run of this step alone, with the values of its
    record.

    The command and the job script are called by the step's name, or by that of its `group`, which then has the help
    and the schedule. A step without a schedule has no job script.
    """

    name: str
    after: tuple[str, ...]
    writes: tuple[TableContract, ...]
    reads: tuple[TableContract, ...]
    sections: tuple[str, ...]
    inputs: "Callable[[Job], dict[str, Any]]"
    work: "Callable[[Job, str], dict[str, Any]]"
    patience_seconds: float = 0.0
    adds_to_others: bool = False
    title: str = ""
    help: str = ""
    options: tuple[Option, ...] = ()
    schedule: Schedule | None = None
    group: Group | None = None
    after_all: bool = False
    also_reads: tuple[TableContract, ...] = ()
    also_sections: tuple[str, ...] = ()
    starts_home: bool = False
    check: Callable[..., Any] | None = None
    summary: str = ""

    @property
    def command(self) -> str:
        """The name of the command and of the job script that run it."""
        return self.group.name if self.group else self.name

    @property
    def submitted(self) -> Schedule | None:
        """When its job script is submitted; None for a step without one."""
        return self.group.schedule if self.group else self.schedule


def no_inputs(job: "Job") -> dict[str, Any]:
    """The `inputs` of a step that depends on its tables and settings alone."""
    return {}


def late(place: str) -> Callable[..., Any]:
    """The function at `place`, as in "package.module:function", whose module is imported when it is first called.

    So the commands that only show something know all steps without the packages that compute, which take seconds.
    """
    module, _, name = place.partition(":")

    def function(*arguments: Any) -> Any:
        return getattr(import_module(module), name)(*arguments)

    function.__name__, function.__qualname__ = name, place
    return function
