"""Rules from a TOML file, or from the definitions in table `merchandising_rules`. All problems are reported at once,
with the line or row and the field of each."""

import re
import tomllib
from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from itertools import pairwise
from typing import Any

from freshet.core.errors import InputError, listed
from freshet.rules.rule import (
    ACTIONS,
    CAP,
    COMMON,
    ITEM_COLUMNS,
    NOW,
    OPTIONAL,
    WEIGH,
    Bound,
    ItemCondition,
    Rule,
    ShopperCondition,
)
from freshet.sources.toml_table import TomlTable, nearest

_SECTION = "rules"
_HEADER = re.compile(r"^\s*\[\[\s*rules\s*\]\]")
_PROBLEM = re.compile(r"^rules\[(\d+)\](?:\.(\w+))?([\w.]*) ?")


def rules_of_toml(text: str, where: str) -> tuple[Rule, ...]:
    """The rules of a file with sections [[rules]], in their order. `where` names the file in errors.

    Raises InputError with all problems.
    """
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"not valid TOML: {error}", where=where) from None
    problems = [f"{name} is not known here; known: [[{_SECTION}]]" for name in values if name != _SECTION]
    found = values.get(_SECTION, [])
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        problems.append(f"{_SECTION} must be a list of tables: sections with the heading [[{_SECTION}]]")
        found = []
    lines = _lines(text)
    rules, wrong = _parsed(found)
    problems += [_with_line(problem, found, lines) for problem in wrong]
    return _checked(rules, problems, where)


def rules_of_definitions(definitions: Sequence[dict[str, Any]], where: str) -> tuple[Rule, ...]:
    """The rules of `Rule.definition`, in their order. Raises InputError with all problems."""
    rules, problems = _parsed(definitions)
    return _checked(rules, [_with_line(problem, definitions, []) for problem in problems], where)


def _checked(rules: list[Rule], problems: list[str], where: str) -> tuple[Rule, ...]:
    if problems:
        raise InputError(listed(problems), where=where, do="The head of conf/rules.toml explains every field")
    return tuple(rules)


def _parsed(values: Sequence[dict[str, Any]]) -> tuple[list[Rule], list[str]]:
    problems: list[str] = []
    rules = [_rule(TomlTable(one, f"{_SECTION}[{n}]", problems)) for n, one in enumerate(values)]
    names: set[str] = set()
    for number, rule in enumerate(rules):
        if rule.name in names:
            problems.append(f"{_SECTION}[{number}].name '{rule.name}' is the name of an earlier rule")
        names.add(rule.name)
    return rules, problems


def _rule(table: TomlTable) -> Rule:
    name, action = table.text("name"), table.text("action", one_of=tuple(ACTIONS))
    for key, value in (("name", name), ("action", action)):
        if not value and (not table.has(key) or value == ""):
            table.problem(key, "is missing")
    needed, optional = ACTIONS.get(action or "", ()), OPTIONAL.get(action or "", ())
    if action:
        for key in needed:
            if not table.has(key):
                table.problem(key, f"is missing: a rule with action {action} needs it")
    items = _item_conditions(table, is_needed="items" in needed)
    fields: dict[str, Any] = {
        "strength": _number(table, "strength", above=None if action == WEIGH else 0.0),
        "at_least": _number(table, "at_least", above=0.0, most=1.0),
        "low": _number(table, "low", least=0.0),
        "high": _number(table, "high", above=0.0),
        "position": _whole(table, "position", least=1),
        "most": _whole(table, "most", least=0),
        "one_in": _number(table, "one_in", least=1.0),
        "first_position": _whole(table, "first_position", least=1),
        "attribute": table.text("attribute"),
        "by": table.text("by"),
    }
    low, high = fields["low"], fields["high"]
    if low is not None and high is not None and low >= high:
        table.problem("low", f"must be below high ({high:g}), is {low:g}")
    if action == CAP and not items and fields["by"] is None and not table.has("items"):
        table.problem("by", "or items is missing: a cap needs to know which items it counts")
    starts, ends = _moment(table, "starts"), _moment(table, "ends")
    if starts is not None and ends is not None and starts >= ends:
        table.problem("ends", "must be later than starts")
    shoppers, enabled = _shopper_conditions(table), table.flag("enabled", absent=True)
    if action:
        _refuse_others(table, action, (*COMMON, *needed, *optional))
    used = {key: value for key, value in fields.items() if key in (*needed, *optional)}
    return Rule(
        name or "", action or "", _as_json(table.values), items, shoppers, starts, ends, enabled, **used
    )  # fmt: skip


def _refuse_others(table: TomlTable, action: str, known: tuple[str, ...]) -> None:
    for key in table.values:
        if key not in known:
            table.problem(key, f"is no field of a rule with action {action}{nearest(key, known)}; it may have: "
                          + ", ".join(known))  # fmt: skip


def _item_conditions(table: TomlTable, *, is_needed: bool) -> tuple[ItemCondition, ...]:
    inner = table.table("items")
    if inner is None:
        return ()
    conditions = [_item_condition(inner, name) for name in ITEM_COLUMNS if inner.has(name)]
    attributes = inner.table("attributes")
    if attributes is not None:
        conditions += [_item_condition(attributes, name, is_attribute=True) for name in attributes.values]
    for name in ITEM_COLUMNS:
        inner.raw(name)
    inner.close()
    if is_needed and not conditions:
        table.problem("items", "has no condition, so the rule would be about every item")
    return tuple(conditions)


def _item_condition(table: TomlTable, name: str, *, is_attribute: bool = False) -> ItemCondition:
    if not isinstance(table.raw(name), dict):
        values = table.texts(name)
        if not values and isinstance(table.raw(name), list):
            table.problem(name, "has no value")
        return ItemCondition(name, is_attribute, values)
    inner = table.table(name)
    assert inner is not None
    bounds = {key: _bound(inner, key) for key in ("at_least", "below")}
    missing = inner.flag("missing") if inner.has("missing") else None
    inner.close()
    if not inner.values:
        table.problem(name, "has no condition: give texts, or at_least, below or missing")
    return ItemCondition(name, is_attribute, (), bounds["at_least"], bounds["below"], missing)


def _shopper_conditions(table: TomlTable) -> tuple[ShopperCondition, ...]:
    inner = table.table("shoppers")
    if inner is None:
        return ()
    found = []
    for name in inner.values:
        if isinstance(inner.raw(name), dict):
            one = inner.table(name)
            assert one is not None
            values, or_unknown = one.texts("values"), one.flag("or_unknown")
            one.close()
        else:
            values, or_unknown = inner.texts(name), False
        if not values and not or_unknown:
            inner.problem(name, "has no value")
        found.append(ShopperCondition(name, values, or_unknown))
    return tuple(found)


def _number(
    table: TomlTable, key: str, *, above: float | None = None, least: float | None = None, most: float | None = None
) -> float | None:
    if not table.has(key):
        return None
    value = table.number(key, float("nan"))
    limits = {
        f"above {above}": above is not None and value <= above,
        f"{least} or more": least is not None and value < least,
        f"at most {most}": most is not None and value > most,
        "finite": abs(value) == float("inf"),
    }
    if any(limits.values()):
        table.problem(key, f"must be {' and '.join(text for text, is_wrong in limits.items() if is_wrong)}, is {value}")
    return value


def _whole(table: TomlTable, key: str, *, least: int) -> int | None:
    value = table.raw(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        table.problem(key, f"must be a whole number of {least} or more, is {value!r}")
        return None
    return value


def _bound(table: TomlTable, key: str) -> Bound | None:
    value = table.raw(key)
    if value is None or value == NOW:
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    return _moment(table, key, or_else=f", a number or '{NOW}'")


def _moment(table: TomlTable, key: str, *, or_else: str = "") -> datetime | None:
    """A TOML date or time, or the same as text, in UTC without zone. A date means its midnight."""
    value = table.raw(key)
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            value = 0
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
    if isinstance(value, date):
        return datetime.combine(value, time())
    if value is not None:
        table.problem(key, f"must be a date such as 2026-11-01{or_else}, is {table.values[key]!r}")
    return None


def _as_json(value: Any) -> Any:
    """TOML values with dates and times as ISO texts."""
    if isinstance(value, dict):
        return {key: _as_json(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_as_json(one) for one in value]
    return value.isoformat() if isinstance(value, date | datetime | time) else value


def _lines(text: str) -> list[tuple[int, list[str]]]:
    """The first line number, from 1, and the lines of each section [[rules]]; TOML's reader does not tell them."""
    every = text.splitlines()
    starts = [number for number, line in enumerate(every) if _HEADER.match(line)]
    return [(start + 1, every[start:end]) for start, end in pairwise([*starts, len(every)])]


def _with_line(problem: str, values: Sequence[dict[str, Any]], lines: list[tuple[int, list[str]]]) -> str:
    """A problem `rules[2].strength must ...` as `line 14, rule 3 'sale': strength must ...`."""
    found = _PROBLEM.match(problem)
    if found is None:
        return problem
    number, field = int(found[1]), found[2] or ""
    name = values[number].get("name")
    rule = f"rule {number + 1}" + (f" '{name}'" if isinstance(name, str) and name else "")
    line = ""
    if number < len(lines):
        first, section = lines[number]
        of_field = (n for n, text in enumerate(section) if field and re.match(rf'^\s*(\[rules\.)?"?{field}\b', text))
        line = f"line {first + next(of_field, 0)}, "
    return f"{line}{rule}: {problem.removeprefix(f'rules[{number}]').removeprefix('.')}"
