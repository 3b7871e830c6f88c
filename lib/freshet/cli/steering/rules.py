"""freshet rules: merchandising rules shown, previewed on real shoppers, and written."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from freshet.cli.options import check_paths, run_console
from freshet.cli.output import Output, echo, echo_json
from freshet.cli.step import step_command
from freshet.contracts import MERCHANDISING_RULES, RULE_EFFECTS
from freshet.runs.home import Home
from freshet.runs.steps import WRITE_RULES
from freshet.tables.lookups.snapshot import all_rows

if TYPE_CHECKING:
    from freshet.pipeline.merchandising.preview import RulePreview

_EXAMPLES = """
\b
Examples:
  freshet rules                                    # the rules of the home and what they change
  freshet rules --input my_rules.toml --preview    # what they would change; nothing is written
  freshet rules --input my_rules.toml
"""


def _rules_command() -> click.Command:
    """The command of the step that writes rules; without --input it shows them, with --preview it writes nothing."""
    step = step_command(WRITE_RULES.command, (WRITE_RULES,))

    def work(input_path: Path | None, preview: bool, home: Path, as_json: bool, **values: Any) -> None:
        if input_path is None:
            if preview:
                raise click.UsageError("--preview needs --input")
            _show(Home(home.absolute()).existing(), as_json=as_json)
        elif preview:
            _preview(input_path, home, as_json=as_json, **values)
        else:
            assert step.callback is not None
            step.callback(input_path=input_path, home=home, as_json=as_json, **values)

    params = [option for option in step.params if option.name != "input_path"]
    own = [
        click.Option(["--input", "input_path"], type=click.Path(path_type=Path), help="Rules (TOML) to write."),
        click.Option(["--preview"], is_flag=True, help="Show what they would change; write nothing. With --input."),
    ]
    return click.Command(step.name, params=[*own, *params], callback=work, help=f"{WRITE_RULES.help}\n{_EXAMPLES}")


rules = _rules_command()


def _show(home: Home, *, as_json: bool) -> None:
    written, effects = all_rows(home.warehouse, MERCHANDISING_RULES), all_rows(home.warehouse, RULE_EFFECTS)
    by_name = {row["name"]: row for row in effects}
    if as_json:
        echo_json([{**row, "effect": by_name.get(row["name"])} for row in sorted(written, key=_position)])
        return
    if not written:
        echo("there are no rules; conf/rules.toml explains what they can do")
        return
    shown = Table("rule", "action", *_COUNTS, title=f"Rules of {home.root}", title_justify="left")
    for row in sorted(written, key=_position):
        shown.add_row(row["name"], json.loads(row["definition"])["action"], *_cells(by_name.get(row["name"])))
    Output().print(shown)
    if not effects:
        echo("Run `freshet recommend` to apply them to all lists and to see what they change")


def _position(row: dict[str, Any]) -> int:
    return int(row["position"])


_COUNTS = ("items that match", "lists compared", "listed before", "after", "lists before", "after")


def _cells(effect: dict[str, Any] | None) -> list[str]:
    names = ("matching_items", "lists", "items_before", "items_after", "lists_before", "lists_after")
    return ["-" if effect is None or effect[name] is None else f"{effect[name]:,}" for name in names]


def _preview(
    path: Path, home: Path, *, as_json: bool, environment: str | None, overrides: tuple[str, ...], master: str
) -> None:
    # Imported here because these take seconds, and the help does not need them.
    from freshet.cli.opening import opened_job
    from freshet.pipeline.merchandising.preview import previewed

    check_paths((WRITE_RULES,), {"input_path": path})
    with opened_job(home, environment, overrides, master, must_exist=True, needs_mlflow=True) as job:
        found = previewed(job, path)
    if as_json:
        echo_json({
            **found.compared.facts(), "rules": [effect._asdict() for effect in found.compared.effects],
            "without_items": found.unmatched, "cost": found.cost,
        })  # fmt: skip
        return
    _print_preview(found, run_console(as_json=False))


def _print_preview(found: "RulePreview", console: Output) -> None:
    shown = Table("rule", "action", *_COUNTS, title="What the rules would change", title_justify="left")
    for effect in found.compared.effects:
        shown.add_row(effect.name, effect.action, *_cells(effect._asdict()))
    console.print(shown)
    for name in found.unmatched:
        echo(f"no item of the catalogue matches rule {name}")
    facts = found.compared.facts()
    echo(
        f"{facts['changed_lists']:,} of {facts['compared_lists']:,} lists would change, "
        f"{facts['changed_items']:,} items in them would be others"
    )
    for cost in found.cost:
        echo(
            f"NDCG@{cost['k']} on the test days would change by {cost['value']:+.4f} "
            f"({cost['low']:+.4f} to {cost['high']:+.4f}, {cost['users']:,} shoppers)"
        )
    changed = [
        (user_id, before, after)
        for user_id, before, after in zip(found.compared.user_ids, found.compared.before, found.compared.after,
                                          strict=True)
        if before != after
    ]  # fmt: skip
    if changed:
        lists = Table("shopper", "list now", "with these rules", title="Some of them", title_justify="left")
        for user_id, before, after in changed[:_SHOWN]:
            lists.add_row(user_id, " ".join(before[:_ITEMS]), " ".join(after[:_ITEMS]))
        console.print(lists)


_SHOWN, _ITEMS = 5, 10
"""Shoppers, and items of each list, that a preview shows."""
