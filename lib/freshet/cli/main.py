"""The `freshet` command: its subcommands."""

import click

from freshet import __version__
from freshet.cli.errors import ended_with_a_line
from freshet.cli.items import items
from freshet.cli.produce import produce
from freshet.cli.run import STEP_COMMANDS, run
from freshet.cli.schedule import jobs
from freshet.cli.show import show
from freshet.cli.status import status
from freshet.cli.stream import stream
from freshet.cli.tables import tables


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
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


for command in (run, *STEP_COMMANDS, items, show, status, tables, jobs, produce, stream):
    freshet.add_command(command)


def main() -> None:
    """Runs the command line; a mistake of the user ends in one line on standard error and exit code 1 or 2."""
    ended_with_a_line(lambda: freshet.main(standalone_mode=False))
