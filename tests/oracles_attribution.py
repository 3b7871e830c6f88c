"""Attribution, the slow and obvious way: every order line looks at every event before it."""

from collections import defaultdict
from datetime import timedelta
from typing import Any

Row = dict[str, Any]


def shopper(event: Row, events: list[Row]) -> str | None:
    """The customer; of an anonymous session the customer who logs in next under its id, else the marked id."""
    if event["user_id"] is not None:
        return str(event["user_id"])
    if event["anonymous_id"] is None:
        return None
    logins = sorted(
        (one["event_time"], one["user_id"]) for one in events
        if one["anonymous_id"] == event["anonymous_id"] and one["user_id"] is not None
        and one["event_time"] >= event["event_time"]
    )  # fmt: skip
    return str(logins[0][1]) if logins else f"anon:{event['anonymous_id']}"


def attributed_rows(events: list[Row], *, click_window_hours: float, view_window_hours: float) -> list[Row]:
    """Rows of `attributed`, in no order."""
    known = [one for one in events if not {"bot", "non_product"} & set(one["flags"])]
    rows = []
    for line in known:
        who = shopper(line, known)
        if line["event_name"] != "purchase" or line["item_id"] is None or who is None:
            continue
        newest: dict[tuple[str, str], Any] = {}
        for touch in known:
            is_view = touch["event_name"] in ("view_item_list", "view_promotion")
            window = view_window_hours if is_view else click_window_hours
            waited = line["event_time"] - touch["event_time"]
            if (
                touch["recommendation_id"] is None
                or touch["event_name"] == "refund"
                or touch["item_id"] != line["item_id"]
                or shopper(touch, known) != who
                or (is_view and view_window_hours == 0)
                or not timedelta(0) <= waited <= timedelta(hours=window)
            ):
                continue
            key = ("view" if is_view else "click", touch["recommendation_id"])
            newest[key] = max(newest.get(key, touch["event_time"]), touch["event_time"])
        kind = "click" if any(kind == "click" for kind, _ in newest) else "view"
        lists = {name: at for (one, name), at in newest.items() if one == kind}
        if not lists:
            continue
        last = min(name for name, at in lists.items() if at == max(lists.values()))
        pieces = 1.0 if line["quantity"] is None else line["quantity"]
        facts = {
            "event_id": line["event_id"], "item_position": line["item_position"], "user_id": who,
            "order_id": line["transaction_id"] or line["event_id"], "item_id": line["item_id"], "touch": kind,
            "revenue": None if line["price"] is None else pieces * line["price"],
        }  # fmt: skip
        rows.append({**facts, "model": "last_touch", "recommendation_id": last, "share": 1.0})
        rows += [{**facts, "model": "shared_touch", "recommendation_id": name, "share": 1 / len(lists)}
                 for name in lists]  # fmt: skip
    return rows


def outcome_rows(events: list[Row], **windows: float) -> dict[tuple[str, str], tuple[Any, ...]]:
    """(first_seen, impressions, clicks, orders, revenue) by list and touch model."""
    known = [one for one in events if not {"bot", "non_product"} & set(one["flags"])]
    rows = attributed_rows(events, **windows)
    lines_of_order: dict[Any, float] = defaultdict(float)
    for row in rows:
        lines_of_order[row["model"], row["user_id"], row["order_id"]] += row["share"]
    found = {}
    for name in {one["recommendation_id"] for one in known} - {None}:
        own = [one for one in known if one["recommendation_id"] == name]
        shown = {one["item_id"] for one in own if one["event_name"] in ("view_item_list", "view_promotion")}
        clicked = {one["item_id"] for one in own
                   if one["event_name"] not in ("view_item_list", "view_promotion", "refund")}  # fmt: skip
        for model in ("last_touch", "shared_touch"):
            mine = [row for row in rows if (row["recommendation_id"], row["model"]) == (name, model)]
            orders = sum(row["share"] / lines_of_order[model, row["user_id"], row["order_id"]] for row in mine)
            revenue = sum(row["share"] * (row["revenue"] or 0.0) for row in mine)
            first = min(one["event_time"] for one in own)
            found[name, model] = (first, len(shown - {None}), len(clicked - {None}), orders, revenue)
    return found
