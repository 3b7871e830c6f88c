"""The example shoppers in the report: a few of different kinds, always the same ones for the same tables."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow.compute as pc

from freshet.contracts import (
    EVENTS,
    ITEMS_HISTORY,
    RECOMMENDATION_UPDATES,
    RECOMMENDATIONS,
    USER_FEATURES,
    USER_SCORES,
    USER_SEGMENTS,
)
from freshet.contracts.shoppers import ANONYMOUS_PREFIX
from freshet.report.collect.sources import EVERYTHING, Sources, among, before, equals
from freshet.report.content import HistoryLine, Missing, Place, RunWindows, Shopper
from freshet.runs.steps import RECOMMEND
from freshet.service.lists.latest import BATCH_VALUES, lists_newest_first

_POOL = 20_000  # shoppers among which examples are searched, so that not all of a large shop is read
_TRIES = 3  # candidates per kind, as the first may have no list
_MANY = 1_000_000  # bound for the rows of a few shoppers, which only a broken table reaches
_NEW_DAYS = 30.0
_HISTORY, _PLACES = 8, 10

_LIST_COLUMNS = ("user_id", "event_clock", "generation", "model_version", "source", "items")
_EVENT_COLUMNS = ("user_id", "anonymous_id", "event_time", "event_id", "item_position", "event_name", "item_id",
                  "quantity", "flags")  # fmt: skip


class _Pool(NamedTuple):
    """Rows of user_features as of the cut, and the shoppers with a list from the stream."""

    known: list[dict[str, Any]]
    anonymous: list[dict[str, Any]]
    touched: frozenset[str]


def shoppers(sources: Sources, windows: RunWindows | Missing) -> tuple[Shopper, ...] | Missing:
    """About six shoppers with a list, each of a different kind; Missing if no shopper has a list."""
    recommend = sources.record(RECOMMEND)
    if isinstance(recommend, Missing):
        return recommend
    if isinstance(windows, Missing):
        return windows
    kinds = _candidates(_pool(sources, windows))
    wanted = {user for users in kinds.values() for user in users}
    lists = _lists(sources, wanted)
    chosen: dict[str, str] = {}
    for kind, users in kinds.items():
        user = next((user for user in users if user in lists and user not in chosen), None)
        if user is not None:
            chosen[user] = kind
    if not chosen:
        return Missing("no shopper has a list")
    return _shoppers(sources, windows, chosen, lists)


def _pool(sources: Sources, windows: RunWindows) -> _Pool:
    columns = ("user_id", "orders", "events_365d", "tenure_days", "idle_days")
    rows = sources.rows(USER_FEATURES, columns, equals("as_of", windows.cut), _POOL)
    has_orders = any(row["orders"] for row in rows)
    for row in rows:
        row["visits"] = row["orders"] if has_orders else row["events_365d"]
    updates = sources.rows(RECOMMENDATION_UPDATES, ("user_id",), EVERYTHING, _POOL)
    anonymous = [row for row in rows if row["user_id"].startswith(ANONYMOUS_PREFIX)]
    known = [row for row in rows if not row["user_id"].startswith(ANONYMOUS_PREFIX)]
    return _Pool(known, anonymous, frozenset(row["user_id"] for row in updates))


def _candidates(pool: _Pool) -> dict[str, list[str]]:
    """Candidates of each kind, by its description, best first; shoppers with a list from the stream are preferred."""
    touched = [row for row in pool.known if row["user_id"] in pool.touched] or pool.known
    new = [row for row in pool.known if (row["tenure_days"] or 0.0) <= _NEW_DAYS]
    lively_new = [row for row in new if row["user_id"] in pool.touched] or new
    repeated = [row for row in touched if row["visits"] >= 2]
    silent = [row for row in pool.known if row["user_id"] not in pool.touched]
    seen = {row["user_id"] for row in (*pool.known, *pool.anonymous)}
    # If the pool is full, shoppers that are not in it may still have features.
    unseen = sorted(pool.touched - seen) if len(seen) < _POOL else []
    newcomers = [user for user in unseen if not user.startswith(ANONYMOUS_PREFIX)]
    visitors = [user for user in unseen if user.startswith(ANONYMOUS_PREFIX)]
    return {
        "A regular customer": _around(repeated, "visits", 0.9),
        "Someone who comes now and then": _around(repeated, "visits", 0.3),
        "A new customer": _around(lively_new, "visits", 0.5),
        "First seen in the live days": newcomers[:_TRIES],
        "Not seen for a long time": _around(silent, "idle_days", 0.8),
        "An anonymous visitor": visitors[:_TRIES] or _around(pool.anonymous, "idle_days", 0.0),
    }


def _around(rows: Sequence[dict[str, Any]], column: str, share: float) -> list[str]:
    """The shoppers nearest to the quantile `share` of a column, nearest first."""
    ordered = sorted(rows, key=lambda row: (row[column] or 0, row["user_id"]))
    middle = share * (len(ordered) - 1)
    near = sorted(range(len(ordered)), key=lambda place: (abs(place - middle), place))
    return [ordered[place]["user_id"] for place in near[:_TRIES]]


def _lists(sources: Sources, users: set[str]) -> dict[str, list[dict[str, Any]]]:
    """All lists of these shoppers, newest first."""
    wanted = among("user_id", users)
    batch = sources.rows(RECOMMENDATIONS, _LIST_COLUMNS, wanted, _MANY)
    updates = sources.rows(RECOMMENDATION_UPDATES, (*_LIST_COLUMNS, *BATCH_VALUES), wanted, _MANY)
    by_user: dict[str, list[dict[str, Any]]] = {}
    for row in lists_newest_first(batch, updates):
        by_user.setdefault(row["user_id"], []).append(row)
    return by_user


def _shoppers(
    sources: Sources, windows: RunWindows, chosen: Mapping[str, str], lists: Mapping[str, list[dict[str, Any]]]
) -> tuple[Shopper, ...]:
    events = _events(sources, windows, chosen)
    of_cut = among("user_id", chosen) & equals("as_of", windows.cut)
    segments = {r["user_id"]: r for r in sources.rows(USER_SEGMENTS, ("user_id", "segment_name"), of_cut, _MANY)}
    scores = {r["user_id"]: r for r in sources.rows(USER_SCORES, ("user_id", "purchase_probability"), of_cut, _MANY)}
    shown = [place for user in chosen for place in lists[user][0]["items"][:_PLACES]]
    items = {place["item_id"] for place in shown} | {_mentioned(place) for place in shown}
    items |= {line["item_id"] for user in chosen for line in events[user][:_HISTORY]}
    names = _names(sources, items)
    examples = []
    for user, kind in chosen.items():
        now, batch = lists[user][0], next((row for row in lists[user] if row["source"] == "batch"), None)
        examples.append(
            Shopper(
                user_id=user,
                kind=kind,
                segment=segments.get(user, {}).get("segment_name"),
                purchase_probability=scores.get(user, {}).get("purchase_probability"),
                events=len(events[user]),
                history=tuple(_line(row, names, windows) for row in events[user][:_HISTORY]),
                source=now["source"],
                model_version=now["model_version"],
                event_clock=now["event_clock"],
                places=_places(now, batch, names),
                had_batch_list=batch is not None,
            )
        )
    return tuple(examples)


def _events(sources: Sources, windows: RunWindows, chosen: Mapping[str, str]) -> dict[str, list[dict[str, Any]]]:
    """The events of these shoppers that have a product, newest first."""
    anonymous = [user.removeprefix(ANONYMOUS_PREFIX) for user in chosen if user.startswith(ANONYMOUS_PREFIX)]
    is_anonymous = pc.field("user_id").is_null() & among("anonymous_id", anonymous)
    theirs = (among("user_id", chosen) | is_anonymous) & pc.field("item_id").is_valid()
    rows = sources.rows(EVENTS, _EVENT_COLUMNS, theirs & before("event_time", windows.as_of), _MANY)
    rows.sort(key=lambda row: (row["event_time"], row["event_id"], row["item_position"]), reverse=True)
    by_user: dict[str, list[dict[str, Any]]] = {user: [] for user in chosen}
    for row in rows:
        if "non_product" not in row["flags"]:
            by_user[row["user_id"] or ANONYMOUS_PREFIX + row["anonymous_id"]].append(row)
    return by_user


def _names(sources: Sources, items: set[str]) -> dict[str, str]:
    """The newest name of each item; items without one are left out."""
    named = among("item_id", items) & pc.field("name").is_valid()
    rows = sources.rows(ITEMS_HISTORY, ("item_id", "valid_from", "name"), named, _MANY)
    return {row["item_id"]: row["name"] for row in sorted(rows, key=lambda row: row["valid_from"])}


def _line(row: dict[str, Any], names: Mapping[str, str], windows: RunWindows) -> HistoryLine:
    return HistoryLine(
        time=row["event_time"],
        event_name=row["event_name"],
        item_id=row["item_id"],
        item_name=names.get(row["item_id"]),
        quantity=row["quantity"],
        is_live=row["event_time"] >= windows.cut,
    )


def _places(now: dict[str, Any], batch: dict[str, Any] | None, names: Mapping[str, str]) -> tuple[Place, ...]:
    before_live = {place["item_id"] for place in batch["items"][:_PLACES]} if batch else set()
    return tuple(
        Place(
            position=place["position"],
            item_id=place["item_id"],
            item_name=names.get(place["item_id"]),
            reason=place["reason"] or "",
            reason_item=names.get(_mentioned(place)),
            is_new=place["item_id"] not in before_live,
        )
        for place in now["items"][:_PLACES]
    )


def _mentioned(place: dict[str, Any]) -> str:
    """The item in a reason, empty if there is none."""
    return str(place["reason"] or "").partition(":")[2]
