"""freshet items: states of items from a catalogue file, without events."""

from pathlib import Path
from typing import Any

import click
from rich.console import Console

from freshet.cli.opening import opened_job
from freshet.cli.options import home_option, settings_options
from freshet.cli.progress import run_with_progress
from freshet.pipeline.items import ITEMS, named_catalogue


@click.command()
@home_option
@click.option(
    "--source", type=click.Path(path_type=Path), required=True, help="Mapping (TOML) with a section [items.catalogue]."
)
@click.option("--input", "input_path", type=click.Path(path_type=Path), required=True, help="File of the catalogue.")
@settings_options
def items(home: Path, source: Path, input_path: Path, **settings: Any) -> None:
    """Take prices, stock and what can be had from a catalogue file into table items_history.

    What a file does not tell of an item stays as it was. `freshet stream` and the next `freshet recommend` leave out
    what cannot be had.

    \b
    Example:
      freshet items --source my_shop.toml --input stock.csv
    """
    named_catalogue(source, input_path)  # a wrong mapping or file is told before Spark is started
    with opened_job(home, settings["environment"], settings["overrides"], settings["master"]) as job:
        job.source, job.input_path = source, input_path
        results = run_with_progress(job, [ITEMS], Console(highlight=False))
        click.echo(f"{results[0].record['changed']} states of items have changed")
