"""The declaration of a step, with its options, schedule and resources. Imports no computing packages."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from freshet.contracts import TableContract

if TYPE_CHECKING:
    from freshet.runs.job import Job

BY_HAND, AFTER, ALWAYS = "by hand", "after", "always"
"""Schedules that are not a cron line: not scheduled; as soon as the jobs before it have succeeded; a service that is
kept running and restarted."""


@dataclass(frozen=True)
class Option:
    """An option of a command, such as `--as-of`.

    `field` is the field of Job that it sets; an option with a `setting` overrides that setting instead. `example` is
    the value shown in the help. `default` only describes the default, which the step itself decides.
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
    "as_of", "--as-of", "moment", "Time as of which the run is made, UTC.", "2011-12-09",
    default="just after the newest event",
)  # fmt: skip
LIVE_DAYS = Option(
    "live_days", "--live-days", "count", "Days before --as-of that are replayed live.", "30",
    setting="windows.live_days", default="30",
)  # fmt: skip
TOPIC = Option("topic", "--topic", "text", "Topic that the records came from.", "events", required=True)


@dataclass(frozen=True)
class Resources:
    """What spark-submit requests: memory of the driver; number, cores and memory of the executors."""

    driver_memory: str
    executors: int
    executor_cores: int
    executor_memory: str


@dataclass(frozen=True)
class Schedule:
    """When a job is submitted, and with what. `when` is cron in UTC, BY_HAND, AFTER or ALWAYS.

    `arguments` are those of the job script; words in capitals are placeholders for the scheduler's own values.
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
    """A step: what it reads and writes, the settings that affect its result, and the functions that do the work.

    `after` names the steps that must have finished before; with `after_all` these are all other steps of the main job.
    `inputs(job)` returns what else affects the result (files, model versions); `work(job, fingerprint)` writes the
    tables and returns values for the record. Both can use only the tables and the sections of the settings that are
    declared here. `also_reads` and `also_sections` may be read too, but their changes do not make the step run again.

    The step waits up to `patience_seconds` for a table that another process writes. A step that `adds_to_others` runs
    again if others have written to its tables since, because its result depends on existing rows. A step that
    `starts_home` may be the first in a home. `check` is called with the paths among the options and raises an error if
    they are wrong, before Spark is started. `summary` is printed, with the values of the record, after a run of this
    step alone.

    The command and the job script have the name of the step or of its `group`, which then has the help and the
    schedule. A step without a schedule has no job script.
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
        """The schedule of its job script; None for a step without one."""
        return self.group.schedule if self.group else self.schedule


def no_inputs(job: "Job") -> dict[str, Any]:
    """The `inputs` of a step that depends only on its tables and settings."""
    return {}


def lazy(path: str) -> Callable[..., Any]:
    """The function at `path`, as in "package.module:function", whose module is imported at the first call.

    This way commands that only show something know all steps without importing computing packages, which takes seconds.
    """
    module, _, name = path.partition(":")

    def function(*arguments: Any) -> Any:
        return getattr(import_module(module), name)(*arguments)

    function.__name__, function.__qualname__ = name, path
    return function
