"""freshet mend: refused records of a topic taken in again."""

from pathlib import Path
from typing import Any

import click
from rich.console import Console

from freshet.cli.opening import opened_job
from freshet.cli.options import home_option, settings_options
from freshet.cli.progress import run_with_progress
from freshet.pipeline.mend import mending
from freshet.sources.mapping import read_mapping


@click.command()
@home_option
@click.option("--source", type=click.Path(path_type=Path), required=True, help="Mapping (TOML) of the stream, mended.")
@click.option("--topic", required=True, help="Topic from which they came.")
@settings_options
def mend(home: Path, source: Path, topic: str, **settings: Any) -> None:
    """Take refused records of a topic in again: those that the mapping makes events of by now.

    Stop the stream before, and start it with --rebuild after it, so that its histories have these events too. Each
    becomes an event once, and its row in quarantine says which. What came in files or in a table of the shop is taken
    in again by `freshet ingest`.

    \b
    Example:
      freshet mend --source my_shop.toml --topic events
    """
    read_mapping(source)  # a wrong mapping is told before Spark is started
    with opened_job(home, settings["environment"], settings["overrides"], settings["master"], must_exist=True) as job:
        job.source = source
        record = run_with_progress(job, [mending(topic)], Console(highlight=False))[0].record
        click.echo(f"{record['mended']} refused records became events, {record['refused']} are refused still")
