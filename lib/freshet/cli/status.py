"""freshet status: the steps and tables of a home."""

from pathlib import Path
from typing import Any

import click
from rich.table import Table

from freshet.cli.options import environment_options, home_option, json_option
from freshet.cli.output import Output, echo_json
from freshet.cli.watch import watch_stream
from freshet.core.records import read_record
from freshet.runs.home import Home
from freshet.runs.registry import main_steps
from freshet.runs.registry import tables as known_tables
from freshet.runs.steps import PROMOTE
from freshet.tables.lookups.snapshot import table_facts

_RETENTION = ("feature_dates", "model_versions", "metrics_days", "quarantine_days", "vacuum_hours")
"""Settings of compaction that say how much old or replaced data is kept."""


@click.command()
@home_option
@environment_options
@json_option
@click.option("--watch", is_flag=True, help="Show the state of the stream live, until Ctrl-C.")
def status(home: Path, environment: str | None, overrides: tuple[str, ...], as_json: bool, watch: bool) -> None:
    """Show which steps have run, what each table holds, and the state of the stream. Needs no Spark.

    It also says how much is kept: by the settings of the last promotion in this home, or by those that --env and --set
    give.

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
    given_by, kept = _retention(records[PROMOTE.name], environment, overrides)
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
        f"Kept by {given_by}: {kept['feature_dates']} dates of features, scores and segments; "
        f"{kept['model_versions']} versions of each model; {kept['metrics_days']} days of stream_metrics; "
        f"{kept['quarantine_days']} days of quarantine; replaced files for {kept['vacuum_hours']} h"
    )


def _retention(
    promotion: dict[str, Any] | None, environment: str | None, overrides: tuple[str, ...]
) -> tuple[str, dict[str, int]]:
    """How much is kept, by name of the setting, and which settings say so: those given, else those that the record of
    the last promotion holds. Without either, those that a run without options has."""
    is_given = environment is not None or bool(overrides)
    recorded = (promotion or {}).get("read", {}).get("settings", {}).get("compaction", {})
    if not is_given and all(name in recorded for name in _RETENTION):
        return "the settings of the last promotion", {name: recorded[name] for name in _RETENTION}
    # Imported here because it takes a second.
    from freshet.runs.settings import load_settings

    compaction = load_settings(environment, overrides).compaction
    words = "the given settings" if is_given else "the settings of conf/base.toml"
    return words, {name: getattr(compaction, name) for name in _RETENTION}
