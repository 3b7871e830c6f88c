"""The registry of steps: their order, commands, job scripts and tables. Everything else that names steps asks here."""

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
    """What spark-submit can run: some steps, or the `part` of the service, and when.

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
        "Take events in, until SIGTERM.",
        # Records of a micro-batch pass through the driver.
        Schedule(ALWAYS, Resources("2g", 1, 2, "2g"), _FROM_TOPIC),
        after=(),
        part="events",
    ),
    JobScript(
        "stream_recommendations",
        "Keep lists fresh, until SIGTERM.",
        # Lists are made in the driver, beside its file of histories.
        Schedule(ALWAYS, Resources("4g", 2, 2, "4g"), _FROM_TOPIC),
        after=(RECOMMEND.name,),  # the first time; later it takes a new champion over by itself
        part="lists",
    ),
)


def register(step: Step, *, in_main_job: bool = True) -> Step:
    """Adds a step that is declared elsewhere.

    Raises InputError where its name or title is missing or its name is taken, and where it comes after a step that is
    not registered.
    """
    if not step.name or not step.title:
        raise InputError("a step needs a name and a title", where=f"step {step.name or step.title!r}")
    if step.name in {known.name for known in all_steps()} | {known.command for known in all_steps()}:
        raise InputError("there is a step of this name", where=f"step {step.name}", do="Choose another name")
    unknown = sorted(set(step.after) - {known.name for known in all_steps()})
    if unknown:
        raise InputError("it comes after a step that there is not", where=f"step {step.name}", found=", ".join(unknown))
    (_main if in_main_job else _others).append(step)
    return step


def unregister(step: Step) -> None:
    """Takes a step out again that was added by `register`."""
    for steps in (_main, _others):
        if step in steps:
            steps.remove(step)


def main_steps() -> tuple[Step, ...]:
    """The steps of the main job, in the order in which people read of them; those that come after all others last."""
    steps = [step for step in _main if not step.after_all]
    before = tuple(step.name for step in steps)
    return (*steps, *(replace(step, after=before) for step in _main if step.after_all))


def all_steps() -> tuple[Step, ...]:
    """The steps of the main job, then those that are no part of it."""
    return (*main_steps(), *_others)


def commands() -> dict[str, tuple[Step, ...]]:
    """The steps that each command runs, by the command's name, in order."""
    found: dict[str, tuple[Step, ...]] = {}
    for step in all_steps():
        found[step.command] = (*found.get(step.command, ()), step)
    return found


def command_help(steps: tuple[Step, ...]) -> str:
    """What a command that runs these steps does."""
    return steps[0].group.help if steps[0].group else steps[0].help


def options_of(steps: tuple[Step, ...]) -> tuple[Option, ...]:
    """The options of all these steps, each once."""
    return tuple({option.flag: option for step in steps for option in step.options}.values())


def tables() -> tuple[TableContract, ...]:
    """All tables, in the order of the flow; last those of steps that are declared elsewhere."""
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

    A step that is submitted by hand is no reason to wait: those that it waits for itself take its place.
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
