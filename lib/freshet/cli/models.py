"""freshet models, rollback and promote --version: see and choose which version of a model serves."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from freshet.cli.options import home_option, json_option
from freshet.cli.output import Output, echo, echo_json
from freshet.cli.step import step_command
from freshet.core.logs import log_to
from freshet.runs.home import Home
from freshet.runs.model_choice import MODELS, VersionState, serve_previous_champion, serve_version, version_states
from freshet.runs.steps import PROMOTE

PREFIX = "freshet-"
SHORT_NAMES = tuple(name.removeprefix(PREFIX) for name in MODELS)


@click.command()
@home_option
@json_option
def models(home: Path, as_json: bool) -> None:
    """Versions of every model: which one serves, which one waits for the gate, and the decisions on each with reasons.

    \b
    Examples:
      freshet models
      freshet models --json
    """
    states = version_states(_existing_home(home))
    if as_json:
        echo_json([_as_data(state) for state in states])
        return
    shown = Table("model", "version", "state", "generation", "decided (UTC)", "decision", "figures",
                  title=f"Models of {home}", title_justify="left")  # fmt: skip
    for state in states:
        version = state.version
        cells = [version.name.removeprefix(PREFIX), version.model_version, ", ".join(state.aliases) or "-"]
        cells.append(str(version.generation or "-"))
        for row in state.decisions or ({},):
            shown.add_row(*cells, *_decision(row))
            cells = [""] * len(cells)
    Output().print(shown)


@click.command()
@home_option
@click.option("--model", type=click.Choice(SHORT_NAMES), default=SHORT_NAMES[0], show_default=True, help="Which model.")
@click.option("--reason", default="rolled back by hand", show_default=True, help="Why, for table model_decisions.")
def rollback(home: Path, model: str, reason: str) -> None:
    """Make the previous champion serve again; rolling back twice returns to the current one.

    A running stream uses it after its next check of the registry (service.swap_check_seconds), the lists of all
    shoppers after the next `freshet recommend`.

    \b
    Examples:
      freshet rollback
      freshet rollback --model propensity --reason "too many zeros"
    """
    served = serve_previous_champion(_existing_home(home), PREFIX + model, reason=reason, now=_now())
    echo(f"version {served.model_version} of the {model} serves, generation {served.generation}")


def _promote_command() -> click.Command:
    """The command of the gate's step; with --version it makes a version serve without asking the gate."""
    gate = step_command(PROMOTE.command, (PROMOTE,))

    def work(version: int | None, model: str, reason: str, home: Path, **values: Any) -> None:
        if version is None:
            assert gate.callback is not None
            gate.callback(home=home, **values)
        else:
            _promote_by_hand(home, model, version, reason)

    own = [
        click.Option(["--version"], type=click.IntRange(min=1), help="Serve this version instead of asking the gate."),
        click.Option(["--model"], type=click.Choice(SHORT_NAMES), default=SHORT_NAMES[0], show_default=True,
                     help="Model of this version; with --version."),
        click.Option(["--reason"], default="promoted by hand", show_default=True,
                     help="Why, for table model_decisions; with --version."),
    ]  # fmt: skip
    example = f"  freshet {PROMOTE.command} --version 2"
    return click.Command(gate.name, params=[*own, *gate.params], callback=work, help=f"{gate.help}\n{example}")


promote = _promote_command()


def _promote_by_hand(home: Path, model: str, version: int, reason: str) -> None:
    served = serve_version(_existing_home(home), PREFIX + model, version, reason=reason, now=_now())
    if served is None:
        echo(f"version {version} of the {model} already serves")
    else:
        echo(f"version {served.model_version} of the {model} serves, generation {served.generation}")


def _existing_home(home: Path) -> Home:
    place = Home(home.absolute()).prepare(must_exist=True)
    log_to(place.root)
    return place


def _now() -> datetime:
    return datetime.now(UTC)


def _decision(row: dict[str, Any]) -> tuple[str, str, str]:
    """Time, outcome with reasons, and figures of a decision; empty texts if there is none yet."""
    if not row:
        return "", "", ""
    outcome = "accepted" if row["accepted"] else "refused"
    figures = ", ".join(f"{name} {value:.4f}" for name, value in sorted(dict(row["metrics"]).items()))
    return f"{row['decided_at']:%Y-%m-%d %H:%M}", f"{outcome}: {'; '.join(row['reasons'])}", figures


def _as_data(state: VersionState) -> dict[str, Any]:
    version = state.version
    return {
        "model": version.name.removeprefix(PREFIX),
        "version": version.version,
        "model_version": version.model_version,
        "aliases": list(state.aliases),
        "generation": version.generation,
        "decisions": [{**row, "metrics": dict(row["metrics"])} for row in state.decisions],
    }
