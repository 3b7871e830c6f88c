"""Features computed slowly and plainly, event by event, to hold the Spark versions against.

Events are the dicts of `tests.factories.event` with datetimes; the words are those of the contracts.
"""

import math
import random
import statistics
from collections import defaultdict
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from tests.oracles_hash import entry_key

Event = dict[str, Any]
VIEWS = {"view_item", "select_item"}
SHOWN = {"view_item_list", "view_promotion"}
LEFT_OUT = {"non_product", "bot"}
CARTS = {"add_to_cart", "begin_checkout", "add_to_wishlist"}


def shopper(row: Event) -> str | None:
    anonymous = row.get("anonymous_id")
    return row["user_id"] or (f"anon:{anonymous}" if anonymous else None)


def order(row: Event) -> str:
    return row["transaction_id"] or row["event_id"]


def known(rows: list[Event], as_of: datetime) -> list[Event]:
    """Product events of people that had happened and were known."""
    return [
        row
        for row in rows
        if row["event_time"] < as_of and row["received_time"] < as_of and not LEFT_OUT & set(row["flags"])
    ]


def done(rows: list[Event], as_of: datetime) -> list[Event]:
    """Of `known` what shoppers did, and not what was shown to them."""
    return [row for row in known(rows, as_of) if row["event_name"] not in SHOWN]


def pieces(row: Event) -> float:
    count = 1.0 if row["quantity"] is None else row["quantity"]
    return {"purchase": count, "refund": -count}.get(row["event_name"], 0.0)


def spend(rows: list[Event]) -> float:
    return math.fsum(pieces(row) * row["price"] for row in rows if row["price"] is not None)


def days(span: timedelta) -> float:
    return span / timedelta(days=1)


def groups(rows: list[Event], *keys: Any) -> dict[Any, list[Event]]:
    """Rows by the values of `keys`, functions of a row; rows with a null value are left out."""
    made = defaultdict(list)
    for row in rows:
        values = tuple(key(row) for key in keys)
        if None not in values:
            made[values if len(values) > 1 else values[0]].append(row)
    return made


def item(row: Event) -> str | None:
    return row["item_id"]


def name(row: Event) -> str:
    return row["event_name"]


def interactions(
    rows: list[Event], as_of: datetime, half_life: float | None, weights: dict[str, float], max_events: int
) -> dict[tuple[str, str], dict[str, Any]]:
    result = {}
    for user, of_user in groups(known(rows, as_of), shopper).items():
        mine = [row for row in of_user if item(row) is not None and weights.get(name(row), 0.0)]
        mine.sort(key=lambda row: (row["event_time"], entry_key(row["event_id"], row["item_position"])), reverse=True)
        for thing, pair in groups(mine[:max_events], item).items():
            strength = 0.0
            for (event_name, _), lines in groups(pair, name, order).items():
                age = days(as_of - max(line["event_time"] for line in lines))
                decay = 1.0 if half_life is None else 0.5 ** (age / half_life)
                strength += weights.get(event_name, 0.0) * decay
            result[user, thing] = {
                "views": sum(name(row) in VIEWS for row in pair),
                "carts": sum(name(row) in CARTS for row in pair),
                "purchases": len({order(row) for row in pair if name(row) == "purchase"}),
                "refunds": len({order(row) for row in pair if name(row) == "refund"}),
                "quantity": sum(pieces(row) for row in pair),
                "first_time": min(row["event_time"] for row in pair),
                "last_time": max(row["event_time"] for row in pair),
                "strength": max(0.0, strength),
            }
    return result


def user_features(rows: list[Event], as_of: datetime) -> dict[str, dict[str, Any]]:
    return {user: _of_user(mine, as_of) for user, mine in groups(done(rows, as_of), shopper).items()}


def _of_user(mine: list[Event], as_of: datetime) -> dict[str, Any]:
    bought = [row for row in mine if name(row) == "purchase"]
    returned = [row for row in mine if name(row) == "refund"]
    orders = {key: max(row["event_time"] for row in lines) for key, lines in groups(bought, order).items()}
    refunds = len(groups(returned, order))
    order_days = sorted({moment.date() for moment in orders.values()})
    gaps = [float((later - earlier).days) for earlier, later in pairwise(order_days)]
    no_price = bool(bought or returned) and all(row["price"] is None for row in bought + returned)
    order_items = sum(len(groups(lines, item)) for lines in groups(bought, order).values())
    made: dict[str, Any] = {
        "recency_days": days(as_of - max(orders.values())) if orders else None,
        "idle_days": days(as_of - max(row["event_time"] for row in mine)),
        "orders": len(orders),
        "monetary": None if no_price else spend(bought + returned),
        "tenure_days": days(as_of - min(row["event_time"] for row in mine)),
        "mean_gap_days": statistics.mean(gaps) if gaps else None,
        "sd_gap_days": statistics.stdev(gaps) if len(gaps) > 1 else None,
        "items_breadth": len(groups(mine, item)),
        # Orders of which no item is known have no basket to speak of.
        "mean_basket_items": order_items / len(orders) if order_items else None,
        "refunds": refunds,
        "return_rate": refunds / (refunds + len(orders)) if refunds or orders else None,
        "views": sum(name(row) in VIEWS for row in mine),
        "carts": sum(name(row) in CARTS for row in mine),
    }
    for width in (30, 90, 365):
        start = as_of - timedelta(days=width)
        inside = [row for row in mine if row["event_time"] >= start]
        made[f"events_{width}d"] = len(inside)
        made[f"orders_{width}d"] = sum(moment >= start for moment in orders.values())
        made[f"monetary_{width}d"] = None if no_price else spend(inside)
        made[f"items_{width}d"] = len(groups(inside, item))
    return made


def item_features(rows: list[Event], as_of: datetime, target: str) -> dict[str, dict[str, Any]]:
    return {thing: _of_item(its, as_of, target) for thing, its in groups(done(rows, as_of), item).items()}


def _of_item(its: list[Event], as_of: datetime, target: str) -> dict[str, Any]:
    wanted = [row for row in its if name(row) == target]

    def shoppers(first: float, last: float = 0) -> int:
        start, end = as_of - timedelta(days=first), as_of - timedelta(days=last)
        return len(groups([row for row in wanted if start <= row["event_time"] < end], shopper))

    buyers = groups(wanted, shopper)
    orders = len({(shopper(row), order(row)) for row in its if name(row) == "purchase"})
    refunds = len({(shopper(row), order(row)) for row in its if name(row) == "refund"})
    priced = [row for row in wanted if row["price"]]
    newest = max((row["event_time"] for row in priced), default=as_of)
    prices = sorted(row["price"] for row in priced if row["event_time"] >= newest - timedelta(days=90))
    return {
        **{f"shoppers_{width}d": shoppers(width) for width in (7, 14, 30, 90, 365)},
        "shoppers": len(buyers),
        "trend": math.log((1 + shoppers(14) * 76 / 14) / (1 + shoppers(90, 14))),
        "price": prices[(len(prices) - 1) // 2] if prices else None,
        "return_rate": refunds / (refunds + orders) if refunds or orders else None,
        "repeat_rate": sum(len({*map(order, of)}) > 1 for of in buyers.values()) / len(buyers) if buyers else None,
        "first_seen": min(row["event_time"] for row in its),
        "last_seen": max((row["event_time"] for row in wanted), default=None),
    }


def labels(rows: list[Event], cuts: list[datetime], horizon_days: int, target: str) -> dict[tuple[datetime, str], int]:
    made = {}
    for cut in cuts:
        end = cut + timedelta(days=horizon_days)
        soon = [row for row in rows if cut <= row["event_time"] < end and name(row) == target]
        active = groups([row for row in soon if not LEFT_OUT & set(row["flags"])], shopper)
        made.update({(cut, user): int(user in active) for user in groups(done(rows, cut), shopper)})
    return made


def random_events(seed: int, *, count: int, names: list[str], priced: bool = True) -> list[Event]:
    """Events over 400 days with all that is awkward: ties, late and future rows, repeated lines, refunds, fees,
    anonymous and unknown shoppers, events without item, prices or pieces missing."""
    draw = random.Random(seed)
    rows = []
    for number in range(count):
        moment = datetime(2020, 1, 1) + timedelta(hours=6 * draw.randrange(1600))
        late = draw.choice([0, 0, 0, 1, 20, 200])
        who = draw.random()
        row = {
            "event_id": f"e{number}",
            "item_position": 0,
            "event_name": draw.choice(names),
            "event_time": moment,
            "received_time": moment + timedelta(days=late),
            "user_id": draw.choice("abcde") if who < 0.8 else None,
            "anonymous_id": draw.choice("xy") if who < 0.95 else None,
            "item_id": draw.choice(["i1", "i2", "i3", "i4", "i5", "i6", "i7", None]),
            "transaction_id": draw.choice([None, f"t{draw.randrange(count // 4)}"]),
            "quantity": draw.choice([1.0, 2.0, 5.0, None]),
            "price": draw.choice([0.0, 0.5, 2.25, 10.0, None]) if priced else None,
            "flags": draw.choice([[], [], [], [], ["non_product"], ["outlier_price"], ["late", "bot"]]),
        }
        if rows and row["transaction_id"] and draw.random() < 0.5:  # another line of the order before
            same = ("event_name", "event_time", "received_time", "user_id", "anonymous_id", "transaction_id")
            row.update({key: rows[-1][key] for key in same})
        rows.append(row)
    return rows


def assert_same(found: dict[Any, Any], wanted: dict[Any, Any]) -> None:
    """Same keys and values; floats but for rounding, everything else exactly."""
    assert found.keys() == wanted.keys()
    for key, value in wanted.items():
        if isinstance(value, dict):
            assert_same(found[key], value)
        elif isinstance(value, float) and isinstance(found[key], float):
            assert math.isclose(found[key], value, rel_tol=1e-9, abs_tol=1e-9), (key, found[key], value)
        else:
            assert (found[key], type(found[key])) == (value, type(value)), (key, found[key], value)
