"""Rules from a TOML file, or from the definitions in table `merchandising_rules`. All problems are reported at once,
with the line or row and the field of each."""

from collections.abc import Sequence
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
from freshet.sources.toml_sections import as_json, moment, number, placed, sections_of, whole
from freshet.sources.toml_table import TomlTable, nearest

_SECTION, _WORD = "rules", "rule"


def rules_of_toml(text: str, where: str) -> tuple[Rule, ...]:
    """The rules of a file with sections [[rules]], in their order. `where` names the file in errors.

    Raises InputError with all problems.
    """
    problems: list[str] = []
    found = sections_of(text, _SECTION, where, problems)
    rules, wrong = _parsed(found)
    problems += [placed(problem, found, text, name=_SECTION, word=_WORD) for problem in wrong]
    return _checked(rules, problems, where)


def rules_of_definitions(definitions: Sequence[dict[str, Any]], where: str) -> tuple[Rule, ...]:
    """The rules of `Rule.definition`, in their order. Raises InputError with all problems."""
    rules, problems = _parsed(definitions)
    return _checked(rules, [placed(problem, definitions, "", name=_SECTION, word=_WORD) for problem in problems], where)


def _checked(rules: list[Rule], problems: list[str], where: str) -> tuple[Rule, ...]:
    if problems:
        raise InputError(listed(problems), where=where, do="The head of conf/rules.toml explains every field")
    return tuple(rules)


def _parsed(values: Sequence[dict[str, Any]]) -> tuple[list[Rule], list[str]]:
    problems: list[str] = []
    rules = [_rule(TomlTable(one, f"{_SECTION}[{n}]", problems)) for n, one in enumerate(values)]
    names: set[str] = set()
    for place, rule in enumerate(rules):
        if rule.name in names:
            problems.append(f"{_SECTION}[{place}].name '{rule.name}' is the name of an earlier rule")
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
        "strength": number(table, "strength", above=None if action == WEIGH else 0.0),
        "at_least": number(table, "at_least", above=0.0, most=1.0),
        "low": number(table, "low", least=0.0),
        "high": number(table, "high", above=0.0),
        "position": whole(table, "position", least=1),
        "most": whole(table, "most", least=0),
        "one_in": number(table, "one_in", least=1.0),
        "first_position": whole(table, "first_position", least=1),
        "attribute": table.text("attribute"),
        "by": table.text("by"),
    }
    low, high = fields["low"], fields["high"]
    if low is not None and high is not None and low >= high:
        table.problem("low", f"must be below high ({high:g}), is {low:g}")
    if action == CAP and not items and fields["by"] is None and not table.has("items"):
        table.problem("by", "or items is missing: a cap needs to know which items it counts")
    starts, ends = moment(table, "starts"), moment(table, "ends")
    if starts is not None and ends is not None and starts >= ends:
        table.problem("ends", "must be later than starts")
    shoppers, enabled = _shopper_conditions(table), table.flag("enabled", absent=True)
    if action:
        _refuse_others(table, action, (*COMMON, *needed, *optional))
    used = {key: value for key, value in fields.items() if key in (*needed, *optional)}
    return Rule(
        name or "", action or "", as_json(table.values), items, shoppers, starts, ends, enabled, **used
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


def _bound(table: TomlTable, key: str) -> Bound | None:
    value = table.raw(key)
    if value is None or value == NOW:
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    return moment(table, key, or_else=f", a number or '{NOW}'")
