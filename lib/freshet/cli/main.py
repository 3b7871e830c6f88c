"""The `freshet` command with its subcommands."""

from importlib import import_module

import click

from freshet import __version__
from freshet.cli.errors import run_or_exit
from freshet.cli.step import step_command
from freshet.runs.registry import commands
from freshet.runs.steps import EXPERIMENTS, PROMOTE, WRITE_RULES

_BEFORE_STEPS = {"run": "step"}
_INSTEAD_OF_STEPS = {
    PROMOTE.command: "models",
    WRITE_RULES.command: "steering.rules",
    EXPERIMENTS.command: "steering.experiments",
}
_AFTER_STEPS = {
    "models": "models",
    "rollback": "models",
    "show": "show",
    "status": "status",
    "tables": "tables",
    "jobs": "schedule",
    "produce": "produce",
    "stream": "stream",
}
_MODULES = {**_BEFORE_STEPS, **_INSTEAD_OF_STEPS, **_AFTER_STEPS}
"""Subcommands that do not just run steps, and the modules of this package that define them. The help lists the commands
of registered steps after `run`; those in `_INSTEAD_OF_STEPS` replace the command of a step."""


class _LazyGroup(click.Group):
    """Imports a subcommand when it is used: importing Spark takes seconds, and `tables`, say, does not need it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(dict.fromkeys([*_BEFORE_STEPS, *commands(), *_AFTER_STEPS]))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in _MODULES:
            command: click.Command = getattr(import_module(f"freshet.cli.{_MODULES[cmd_name]}"), cmd_name)
            return command
        steps = commands().get(cmd_name)
        return None if steps is None else step_command(cmd_name, steps)


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="freshet")
def freshet() -> None:
    """Keeps a shop's recommendations fresh: from raw events to lists in Delta tables.

    \b
    Examples:
      freshet run --source conf/sources/online_retail_ii.toml --input online_retail_II.parquet
      freshet show 17850
      freshet status
      freshet tables recommendations
    """


def main() -> None:
    """Runs the command line; a user error ends in one line on standard error and exit code 1 or 2."""
    run_or_exit(lambda: freshet.main(standalone_mode=False))
