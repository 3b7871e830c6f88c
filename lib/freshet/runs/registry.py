"""The registry of steps: their order, commands, job scripts and tables. All other code looks steps up here."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from freshet.contracts import ALL_TABLES, TableContract
from freshet.core.errors import InputError
from freshet.runs.step import ALWAYS, BY_HAND, Option, Resources, Schedule, Step
from freshet.runs.steps import FROM_FILES, LARGE, MAIN_STEPS, OTHER_STEPS, RECOMMEND

MAIN_JOB = "main_job"
"""The job script of all steps of the main job."""

_FROM_TOPIC = ("--home", "HOME", "--from", "BROKERS", "--topic", "TOPIC")

_main: list[Step] = list(MAIN_STEPS)
_others: list[Step] = list(OTHER_STEPS)


@dataclass(frozen=True)
class JobScript:
    """A script for spark-submit: runs some steps or a `part` of the service on a schedule.

    `after` names the job scripts that must have succeeded before.
    """

    name: str
    help: str
    schedule: Schedule
    after: tuple[str, ...]
    steps: tuple[Step, ...] = ()
    part: str = ""


_SERVICE = (
    JobScript(
        "stream_events",
        "Ingest events until SIGTERM.",
        # Records of a micro-batch pass through the driver.
        Schedule(ALWAYS, Resources("2g", 1, 2, "2g"), _FROM_TOPIC),
        after=(),
        part="events",
    ),
    JobScript(
        "stream_recommendations",
        "Keep lists fresh until SIGTERM.",
        # Lists are made in the driver, which also has the file of histories.
        Schedule(ALWAYS, Resources("4g", 2, 2, "4g"), _FROM_TOPIC),
        after=(RECOMMEND.name,),  # the first time; later it switches to a new champion by itself
        part="lists",
    ),
)


def register(step: Step, *, in_main_job: bool = True) -> Step:
    """Adds a step that is declared elsewhere.

    Raises InputError if its name or title is missing, if its name is taken, or if it comes after a step that is not
    registered.
    """
    if not step.name or not step.title:
        raise InputError("a step needs a name and a title", where=f"step {step.name or step.title!r}")
    if step.name in {known.name for known in all_steps()} | {known.command for known in all_steps()}:
        raise InputError("there already is a step of this name", where=f"step {step.name}", do="Choose another name")
    unknown = sorted(set(step.after) - {known.name for known in all_steps()})
    if unknown:
        raise InputError("it comes after an unknown step", where=f"step {step.name}", found=", ".join(unknown))
    (_main if in_main_job else _others).append(step)
    return step


def unregister(step: Step) -> None:
    """Removes a step that was added by `register`."""
    for steps in (_main, _others):
        if step in steps:
            steps.remove(step)


def main_steps() -> tuple[Step, ...]:
    """The steps of the main job in the order in which they are listed; steps with `after_all` last."""
    steps = [step for step in _main if not step.after_all]
    before = tuple(step.name for step in steps)
    return (*steps, *(replace(step, after=before) for step in _main if step.after_all))


def all_steps() -> tuple[Step, ...]:
    """The steps of the main job, then those that are not part of it."""
    return (*main_steps(), *_others)


def commands() -> dict[str, tuple[Step, ...]]:
    """The steps that each command runs, in order, by the name of the command."""
    found: dict[str, tuple[Step, ...]] = {}
    for step in all_steps():
        found[step.command] = (*found.get(step.command, ()), step)
    return found


def command_help(steps: tuple[Step, ...]) -> str:
    """The help text of a command that runs these steps."""
    return steps[0].group.help if steps[0].group else steps[0].help


def options_of(steps: tuple[Step, ...]) -> tuple[Option, ...]:
    """The options of these steps, without duplicates."""
    return tuple({option.flag: option for step in steps for option in step.options}.values())


def tables() -> tuple[TableContract, ...]:
    """All tables in the order of the data flow; last those of steps that are declared elsewhere."""
    written = {table.name: table for step in all_steps() for table in step.writes}
    return tuple({**{table.name: table for table in ALL_TABLES}, **written}.values())


def job_scripts() -> dict[str, JobScript]:
    """All job scripts by name: the main job, those of single steps and groups, the parts of the service."""
    steps = main_steps()
    main = JobScript(MAIN_JOB, _titles(steps), Schedule(BY_HAND, LARGE, FROM_FILES), after=(), steps=steps)
    return {script.name: script for script in (main, *_scripts_of_steps(), *_SERVICE)}


def _scripts_of_steps() -> Iterator[JobScript]:
    for name, steps in commands().items():
        schedule = steps[0].submitted
        if schedule is not None:
            before = _scripts_before(steps)
            implied = {earlier for script in before for earlier in _all_scripts_before(script)}
            yield JobScript(name, _titles(steps), schedule, tuple(sorted(before - implied)), steps)


def _titles(steps: tuple[Step, ...]) -> str:
    return " ".join(f"{step.title}." for step in steps)


def _scripts_before(steps: Iterable[Step]) -> set[str]:
    """The scheduled job scripts that these steps wait for.

    A step that is submitted by hand is replaced by those that it waits for itself.
    """
    by_name = {step.name: step for step in all_steps()}
    found: set[str] = set()
    for before in {name for step in steps for name in step.after if name in by_name}:
        schedule = by_name[before].submitted
        by_hand = schedule is None or schedule.when == BY_HAND
        found |= _scripts_before([by_name[before]]) if by_hand else {by_name[before].command}
    return found


def _all_scripts_before(script: str) -> set[str]:
    direct = _scripts_before(commands()[script])
    return direct | {earlier for name in direct for earlier in _all_scripts_before(name)}
