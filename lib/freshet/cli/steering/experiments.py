"""freshet experiments: experiments measured and decided, and what was measured last."""

from pathlib import Path
from typing import Any

import click
from rich.table import Table

from freshet.cli.output import Output, echo, echo_json
from freshet.cli.step import step_command
from freshet.contracts import EXPERIMENT_RESULTS
from freshet.runs.home import Home
from freshet.runs.steps import EXPERIMENTS
from freshet.tables.lookups.snapshot import all_rows

_EXAMPLES = """
\b
Examples:
  freshet experiments --input my_experiments.toml    # measure them, and decide
  freshet experiments                                # what was measured last
"""


def _experiments_command() -> click.Command:
    """The command of the step that measures; without --input it shows what was measured."""
    step = step_command(EXPERIMENTS.command, (EXPERIMENTS,))

    def work(input_path: Path | None, home: Path, as_json: bool, **values: Any) -> None:
        if input_path is None:
            _show(Home(home.absolute()).existing(), as_json=as_json)
        else:
            assert step.callback is not None
            step.callback(input_path=input_path, home=home, as_json=as_json, **values)

    params = [option for option in step.params if option.name != "input_path"]
    own = click.Option(
        ["--input", "input_path"], type=click.Path(path_type=Path), help="Experiments (TOML) to measure."
    )
    return click.Command(step.name, params=[own, *params], callback=work, help=f"{EXPERIMENTS.help}\n{_EXAMPLES}")


experiments = _experiments_command()


def _show(home: Home, *, as_json: bool) -> None:
    rows = all_rows(home.warehouse, EXPERIMENT_RESULTS)
    if as_json:
        echo_json(rows)
        return
    if not rows:
        echo("nothing was measured; conf/experiments.toml explains what an experiment can say")
        return
    shown = Table("experiment", "arm", "metric", "shoppers", "value", "difference", "interval", "decision",
                  title=f"Experiments of {home.root}", title_justify="left")  # fmt: skip
    for row in rows:
        ends = "-" if row["low"] is None else f"{row['low']:+.4g} to {row['high']:+.4g}"
        figures = (f"{row['shoppers']:,}", _figure(row["value"], ".4g"), _figure(row["difference"], "+.4g"), ends)
        shown.add_row(row["experiment"], row["arm"], row["metric"], *figures, row["decision"] or "control")
    Output().print(shown)
    reasons = dict.fromkeys((row["experiment"], row["arm"], reason) for row in rows for reason in row["reasons"])
    for experiment, arm, reason in reasons:
        echo(f"{experiment}, {arm}: {reason}")


def _figure(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
