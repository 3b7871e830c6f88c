"""freshet status: the steps and tables of a home."""

import tomllib
from pathlib import Path

import click
from rich.table import Table

from freshet.cli.options import home_option, json_option
from freshet.cli.output import Output, echo_json
from freshet.cli.watch import watch_stream
from freshet.core.conf_files import conf_folder
from freshet.core.records import read_record
from freshet.runs.home import Home
from freshet.runs.registry import main_steps
from freshet.runs.registry import tables as known_tables
from freshet.tables.lookups.snapshot import table_facts


@click.command()
@home_option
@json_option
@click.option("--watch", is_flag=True, help="Show the state of the stream live, until Ctrl-C.")
def status(home: Path, as_json: bool, watch: bool) -> None:
    """Show which steps have run, what each table holds, and the state of the stream. Needs no Spark.

    \b
    Examples:
      freshet status
      freshet status --watch
      freshet status --home .freshet --json
    """
    place = Home(home.absolute()).existing()
    if watch:
        watch_stream(Output(), place.warehouse)
        return
    records = {step.name: read_record(place.steps, step.name) for step in main_steps()}
    facts = {contract.name: table_facts(place.warehouse, contract) for contract in known_tables()}
    kept = _retention()
    if as_json:
        echo_json({"home": str(place.root), "steps": records, "tables": facts, "kept": kept})
        return
    console = Output()
    steps = Table("step", "state", "seconds", title=f"Home {home}", title_justify="left")
    for step in main_steps():
        record = records[step.name]
        state = "never" if record is None else record.get("not_built") or "done"
        steps.add_row(step.title, state, "" if record is None else f"{record['seconds']:.1f}")
    console.print(steps)
    shown = Table("table", "rows", "version", "files", title="Tables", title_justify="left")
    for name, fact in facts.items():
        if fact is not None:
            shown.add_row(name, f"{fact['rows']:,}", str(fact["version"]), str(fact["files"]))
    console.print(shown)
    console.print(
        f"Kept unless a run sets compaction.*: {kept['feature_dates']} dates of features, scores and segments; "
        f"{kept['model_versions']} versions of each model; {kept['metrics_days']} days of stream_metrics; "
        f"{kept['quarantine_days']} days of quarantine; replaced files for {kept['vacuum_hours']} h"
    )


def _retention() -> dict[str, int]:
    """How much old or replaced data is kept, by name of the setting, unless a run overrides it."""
    values = tomllib.loads(conf_folder().joinpath("base.toml").read_text(encoding="utf-8"))["compaction"]
    names = ("feature_dates", "model_versions", "metrics_days", "quarantine_days", "vacuum_hours")
    return {name: values[name] for name in names}
