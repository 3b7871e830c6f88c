"""Slow and obvious twin of rules: plain loops over one shopper's scores and Python values of items."""

import math
from collections.abc import Callable, Sequence
from datetime import datetime
from statistics import median
from typing import Any

from freshet.rules.rule import Bound, ItemCondition, Rule

Similarity = Callable[[int, int], float]

Item = dict[str, Any]
"""item_id, name, category_path, brand, price, available, attributes."""


def holds_for_item(condition: ItemCondition, item: Item, moment: datetime) -> bool:
    """One condition on one item."""
    if condition.is_attribute:
        value = (item["attributes"] or {}).get(condition.column)
    else:
        value = item["category_path" if condition.column == "category" else condition.column]
    if condition.missing is not None and (value is None) != condition.missing:
        return False
    if condition.values:
        if value is None:
            return False
        deeper = condition.column == "category" and any(value.startswith(f"{one} > ") for one in condition.values)
        if value not in condition.values and not deeper:
            return False
    return all(
        bound is None or _compares(value, bound, moment, is_lower)
        for bound, is_lower in ((condition.at_least, True), (condition.below, False))
    )


def _compares(value: Any, bound: Bound, moment: datetime, is_lower: bool) -> bool:
    limit = moment if bound == "now" else bound
    try:
        found = float(value) if isinstance(limit, float) else datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return False
    return bool(found >= limit) if is_lower else bool(found < limit)  # type: ignore[operator]


def matches(rule: Rule, item: Item, moment: datetime) -> bool:
    """Whether an item meets all conditions of a rule."""
    return all(holds_for_item(condition, item, moment) for condition in rule.items)


def holds_for_shopper(rule: Rule, attributes: dict[str, str]) -> bool:
    """Whether a rule holds for a shopper with these attributes."""
    return all(
        attributes[each.attribute] in each.values if each.attribute in attributes else each.or_unknown
        for each in rule.shoppers
    )


def ruled_list(
    scores: Sequence[float], items: Sequence[Item], rules: Sequence[Rule], *, shopper: dict[str, str],
    taken: set[str], moment: datetime, length: int, candidates: int, similar: Similarity = lambda one, other: 0.0,
) -> list[tuple[str, bool]]:  # fmt: skip
    """(item, whether a rule promoted it) of one shopper's list, from the scores of all items, by their order in
    `items`; `taken` are the items whose prices are usual for the shopper; `similar` says how alike two items are."""
    mine = [rule for rule in rules if rule.holds_at(moment) and holds_for_shopper(rule, shopper)]
    matching = {rule.name: {n for n, item in enumerate(items) if matches(rule, item, moment)} for rule in mine}
    by_action = {action: [rule for rule in mine if rule.action == action] for action in {rule.action for rule in mine}}
    allowed = [n for n, score in enumerate(scores) if math.isfinite(score) and items[n]["available"] is not False]
    for rule in by_action.get("exclude", []):
        allowed = [n for n in allowed if n not in matching[rule.name]]
    for rule in by_action.get("include", []):
        allowed = [n for n in allowed if n in matching[rule.name]]
    best = sorted(allowed, key=lambda n: (-scores[n], n))
    if not set(by_action) - {"exclude", "include"}:
        return [(items[n]["item_id"], False) for n in best[:length]]
    pool = _pool(best, by_action, matching, length=length, candidates=candidates)
    values = _values(pool, scores, items, by_action, matching, taken=taken, length=length)
    return _chosen(values, items, by_action, matching, length, similar)


def _pool(
    best: list[int], by_action: dict[str, list[Rule]], matching: dict[str, set[int]], *, length: int, candidates: int
) -> list[int]:
    """The best candidates, and the best of each demand that too few of them meet."""
    first = best[: max(length, candidates)]
    pool, pinned = list(first), set()
    for rule in [*by_action.get("pin", []), *by_action.get("share", [])]:
        needed = math.floor((rule.at_least or 0) * length + 1e-9)
        if rule.position is not None:
            needed = int(rule.position <= length and rule.position not in pinned)
        own = [n for n in best if n in matching[rule.name]]
        if len([n for n in first if n in matching[rule.name]]) < needed:
            pool += [n for n in own[:needed] if n not in pool]
        if rule.position is not None and own:
            pinned.add(rule.position)
    return pool


def _values(
    pool: list[int], scores: Sequence[float], items: Sequence[Item], by_action: dict[str, list[Rule]],
    matching: dict[str, set[int]], *, taken: set[str], length: int,
) -> dict[int, float]:  # fmt: skip
    """The value of each candidate, in units of a list, far lower outside the price band."""
    falling = sorted((scores[n] for n in pool), reverse=True)
    spread = (falling[0] - falling[min(length, len(falling)) - 1]) if falling else 0.0
    spread = spread if spread > 0 else 1.0
    final = {n: scores[n] for n in pool}
    for action, sign in (("boost", 1.0), ("bury", -1.0)):
        for rule in by_action.get(action, []):
            for n in matching[rule.name].intersection(pool):
                final[n] += sign * (rule.strength or 0.0) * spread
    for rule in by_action.get("weigh", []):
        values = {n: _number(items[n], rule.attribute or "") for n in matching[rule.name]}
        known = sorted(value for value in values.values() if value is not None)
        for n in pool:
            value = values.get(n)
            if value is not None and len(known) > 1:
                lower, equal = sum(one < value for one in known), known.count(value)
                rank = (lower + (equal - 1) / 2) / (len(known) - 1) - 0.5
                final[n] += (rule.strength or 0.0) * rank * spread
    prices = [item["price"] for item in items if item["item_id"] in taken and item["price"] is not None]
    outside = set()
    for rule in by_action.get("price_band", []):
        for n in pool:
            if prices and items[n]["price"] is not None:
                ratio = items[n]["price"] / median(prices)
                if ratio < (rule.low or 0.0) or ratio > (rule.high or math.inf):
                    outside.add(n)
    return {n: float(final[n]) / float(spread) - 1e6 * (n in outside) for n in pool}


def _number(item: Item, name: str) -> float | None:
    try:
        return float(item["price"] if name == "price" else (item["attributes"] or {}).get(name))
    except (TypeError, ValueError):
        return None


def _lost(n: int, above: Sequence[int], items: Sequence[Item], rules: Sequence[Rule], similar: Similarity) -> float:
    """What a candidate loses for the items above it."""
    lost = 0.0
    for one in above:
        for rule in rules:
            if rule.by is None:
                lost += (rule.strength or 0.0) * similar(one, n)
            elif _group(items[n], rule.by) is not None and _group(items[n], rule.by) == _group(items[one], rule.by):
                lost += rule.strength or 0.0
    return lost


def _chosen(
    values: dict[int, float], items: Sequence[Item], by_action: dict[str, list[Rule]], matching: dict[str, set[int]],
    length: int, similar: Similarity,
) -> list[tuple[str, bool]]:  # fmt: skip
    first = sorted(values, key=lambda n: (-values[n], n))

    def fits(n: int) -> bool:
        return all(_fits_cap(rule, n, chosen, items, matching[rule.name]) for rule in by_action.get("cap", []))

    pinned = _pinned(first, by_action, matching, length)
    chosen: list[int] = []
    promoted: list[bool] = []
    for place in range(1, length + 1):
        now = {n: values[n] - _lost(n, chosen, items, by_action.get("diversify", []), similar) for n in first}
        ordered = sorted(first, key=lambda n: (-now[n], first.index(n)))
        free = [n for n in ordered if n not in chosen and n not in pinned.values() and fits(n)]
        usual = free[0] if free else None
        wanted = [
            [n for n in free if n in matching[rule.name]]
            for rule in by_action.get("share", [])
            if len(matching[rule.name].intersection(chosen)) < math.floor((rule.at_least or 0) * place + 1e-9)
        ]
        own = next((each for each in wanted if each), None)
        pick = pinned.pop(place) if place in pinned else own[0] if own else usual
        if pick is None and pinned:
            pick = pinned.pop(min(pinned))
        if pick is None:
            break
        chosen.append(pick)
        promoted.append(pick != usual)
    return [(items[n]["item_id"], flag) for n, flag in zip(chosen, promoted, strict=True)]


def _pinned(
    ordered: list[int], by_action: dict[str, list[Rule]], matching: dict[str, set[int]], length: int
) -> dict[int, int]:
    """The item by position."""
    pinned: dict[int, int] = {}
    for rule in by_action.get("pin", []):
        own = [n for n in ordered if n in matching[rule.name] and n not in pinned.values()]
        if rule.position is not None and rule.position <= length and rule.position not in pinned and own:
            pinned[rule.position] = own[0]
    return pinned


def _fits_cap(rule: Rule, n: int, chosen: list[int], items: Sequence[Item], matching: set[int]) -> bool:
    group = _group(items[n], rule.by)
    if n not in matching or (rule.by is not None and group is None):
        return True
    same = [m for m in chosen if m in matching and _group(items[m], rule.by) == group]
    return len(same) < (rule.most or 0)


def _group(item: Item, by: str | None) -> Any:
    if by is None:
        return None
    names = {"category": "category_path"}
    return item[names.get(by, by)] if by in ("name", "category", "brand", "price", "item_id") else (
        item["attributes"] or {}
    ).get(by)  # fmt: skip
