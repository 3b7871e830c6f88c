"""freshet show: a shopper's current list with reasons, and the list before the newest event."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import pyarrow.compute as pc
from rich.table import Table

from freshet.cli.options import home_option, json_option
from freshet.cli.output import Output, echo_json
from freshet.contracts import ITEMS_HISTORY, RECOMMENDATION_UPDATES, RECOMMENDATIONS, USER_SCORES, USER_SEGMENTS
from freshet.core.errors import InputError, StateError
from freshet.report.words import reason
from freshet.runs.home import Home
from freshet.service.lists.latest import lists_newest_first
from freshet.tables.lookups.snapshot import rows_where, some_rows, table_facts


@click.command()
@click.argument("user")
@home_option
@json_option
@click.option("--items", "length", default=10, show_default=True, type=click.IntRange(min=1), help="Items to show.")
def show(user: str, home: Path, as_json: bool, length: int) -> None:
    """Show a shopper's list with reasons, model version and age, before and after the newest event.

    Anonymous shoppers are named with the prefix of the list tables, as in anon:536365.

    \b
    Examples:
      freshet show 17850
      freshet show anon:536365 --items 5
      freshet show 17850 --json
    """
    place = Home(home.absolute())
    if table_facts(place.warehouse, RECOMMENDATIONS) is None:
        raise StateError("there are no recommendations yet", where=str(home), do="Run `freshet run` first")
    lists = _lists(place.warehouse, user)
    if not lists:
        raise InputError(
            "this shopper has no list", where=user or "an empty user_id", expected="a user_id of table recommendations",
            do="Unknown shoppers are served table popular_items",
        )  # fmt: skip
    names = _item_names(place.warehouse, lists[:2], length)
    known = {
        "segment": _newest(rows_where(place.warehouse, USER_SEGMENTS, "user_id", user), "segment_name"),
        "purchase_probability": _newest(
            rows_where(place.warehouse, USER_SCORES, "user_id", user), "purchase_probability"
        ),
    }
    if as_json:
        now, before = lists[0], lists[1] if len(lists) > 1 else None
        echo_json({"user_id": user, **known, "now": now, "before": before})
        return
    console = Output()
    probability = known["purchase_probability"]
    facts = [f"segment {known['segment']}"] if known["segment"] else []
    facts += [f"buys within the horizon with probability {probability:.2f}"] if probability is not None else []
    console.print(f"Shopper {user}" + (": " + ", ".join(facts) if facts else ""))
    console.print(_table("List now", lists[0], names, length))
    for placed in lists[0].get("placements") or ():
        console.print(_items(_title(placed, names), placed["items"][:length], names))
    if len(lists) > 1:
        console.print(_table("List before the newest event", lists[1], names, length))


def _lists(warehouse: Path, user: str) -> list[dict[str, Any]]:
    """The shopper's lists of batch and stream, newest first."""
    batch = rows_where(warehouse, RECOMMENDATIONS, "user_id", user)
    return lists_newest_first(batch, rows_where(warehouse, RECOMMENDATION_UPDATES, "user_id", user))


def _newest(rows: list[dict[str, Any]], column: str) -> Any:
    return max(rows, key=lambda row: row["as_of"])[column] if rows else None


def _item_names(warehouse: Path, lists: list[dict[str, Any]], length: int) -> dict[str, str]:
    pages = [placed["items"] for placed in lists[0].get("placements") or ()]
    shown = [item for items in [*(row["items"] for row in lists), *pages] for item in items[:length]]
    wanted = {text for item in shown for text in (item["item_id"], item["reason"].partition(":")[2])}
    states = some_rows(
        warehouse, ITEMS_HISTORY, columns=("item_id", "name", "valid_from"),
        where=pc.field("item_id").isin(sorted(wanted)) & pc.field("name").is_valid(), at_most=_MOST_STATES,
    )  # fmt: skip
    return {state["item_id"]: state["name"] for state in sorted(states, key=lambda state: state["valid_from"])}


_MOST_STATES = 100_000
"""States of the shown items that are read for their names; each item has one a month at most."""


def _table(title: str, row: dict[str, Any], names: dict[str, str], length: int) -> Table:
    made = row["generated_at"].replace(tzinfo=UTC)
    age = datetime.now(UTC) - made
    minutes = int(age.total_seconds() // 60)
    title = (
        f"{title}: by {row['source']}, model {row['model_version']}, "
        f"events until {row['event_clock']:%Y-%m-%d %H:%M}, made {minutes} min ago"
    )
    return _items(title, row["items"][:length], names)


def _title(placed: dict[str, Any], names: dict[str, str]) -> str:
    about = placed["about_item_id"]
    name = placed["placement"].replace("_", " ")
    return f"On the page: {name}" + (f" {names.get(about, about)}" if about else "")


def _items(title: str, items: list[dict[str, Any]], names: dict[str, str]) -> Table:
    shown = Table("", "item", "name", "score", "why", title=title, title_justify="left")
    for item in items:
        shown.add_row(
            str(item["position"]), item["item_id"], names.get(item["item_id"], ""), f"{item['score']:.3f}",
            reason(item["reason"], names.get(item["reason"].partition(":")[2])),
        )  # fmt: skip
    return shown
