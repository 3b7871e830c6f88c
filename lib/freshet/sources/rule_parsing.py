"""TOML to rules: texts, numbers, times and event names of a source mapping."""

import re
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from freshet.contracts.events import GA4_EVENT_NAMES
from freshet.sources.rules import EventNames, EventRule, NumberRule, TextRule, TimeRule
from freshet.sources.toml_table import TomlTable, nearest

NAMED_FORMATS = ("iso", "unix_s", "unix_ms", "unix_us", "days")
_PATTERN_LETTERS = "GyMLdQqEaHhKkmsSVzOXxD"
_FILES_ONLY, _FOLDERS_ONLY = ("Factory", "ROC", "localtime", "posixrules"), ("posix/", "right/")
"""Files of the system's time zone database that Python accepts as zones but Java does not."""
_NUMBER_TESTS = ("below", "above", "at_least", "at_most")


def text_rule(value: Any, where: str, problems: list[str]) -> TextRule | None:
    """A rule from a column name or a table; None (with a problem) when it is neither."""
    table = _rule_table(value, where, problems)
    if table is None:
        return None
    rule = _text_rule(table)
    table.close()
    return rule


def number_rule(value: Any, where: str, problems: list[str]) -> NumberRule | None:
    """As `text_rule`, with the marks of numbers. A constant may be a TOML number."""
    table = _rule_table(value, where, problems)
    if table is None:
        return None
    constant = table.values.get("constant")
    if isinstance(constant, int | float) and not isinstance(constant, bool):
        table.values = {**table.values, "constant": str(constant)}
    decimal = table.text("decimal", ".", one_of=(".", ",")) or "."
    thousands = table.text("thousands", "." if decimal == "," else "") or ""
    scale = table.number("scale", 1.0)
    rule = NumberRule(_text_rule(table), decimal, thousands, scale)
    if decimal == thousands:
        table.problem("thousands", "must differ from the decimal mark")
    table.close()
    return rule


def time_rule(table: TomlTable) -> TimeRule:
    """The rule of [time] or [received_time]."""
    formats = table.texts("formats", table.texts("format", ("iso",)))
    if not formats:
        table.problem("formats", "needs at least one")
    for pattern in formats:
        if pattern not in NAMED_FORMATS and (wrong := _wrong_pattern(pattern)):
            table.problem("formats", f"has '{pattern}': {wrong}")
    named = table.text("zone")
    zone = "UTC" if named is None else named
    if not _is_zone(zone):
        table.problem("zone", f"must be an IANA zone such as Europe/London or UTC, is '{zone}'")
    origin = str(table.raw("origin") or "1970-01-01")
    try:
        date.fromisoformat(origin)
    except ValueError:
        table.problem("origin", f"must be a date such as 2020-01-31, is '{origin}'")
    sequence = table.text("sequence")
    rule = TimeRule(_text_rule(table), formats, zone, origin, sequence, table.flag("sequence_by_row"))
    if rule.sequence and rule.sequence_by_row:
        table.problem("sequence_by_row", "and sequence exclude each other")
    table.close()
    return rule


def event_names(value: Any, problems: list[str]) -> EventNames:
    """The rule of event_name: a GA4 name as a text, or a table."""
    where = "event_name"
    if isinstance(value, str):
        return EventNames(constant=_ga4(value, where, problems))
    table = TomlTable(value, where, problems) if isinstance(value, dict) else None
    if table is None:
        problems.append(
            f"{where} is missing: give a GA4 name, a column with values, or rules" if value is None
            else f"{where} must be a GA4 name or a table, is {value!r}"
        )  # fmt: skip
        return EventNames()
    rules = tuple(_event_rule(one) for one in table.tables("rules"))
    values = table.pairs("values")
    otherwise = table.text("otherwise")
    for key, name in values:
        _ga4(name, f"{where}.values.{key}", problems)
    if otherwise is not None:
        _ga4(otherwise, f"{where}.otherwise", problems)
    if rules:
        table.close()
        return EventNames(rules=rules, otherwise=otherwise)
    table.values = {key: one for key, one in table.values.items() if key != "values"}
    rule = _text_rule(table)
    table.close()
    if rule.constant is not None and not rule.columns:
        return EventNames(constant=_ga4(rule.constant, where, problems))
    return EventNames(text=rule, values=values, otherwise=otherwise)


def _rule_table(value: Any, where: str, problems: list[str]) -> TomlTable | None:
    if isinstance(value, str):
        return TomlTable({"column": value}, where, problems)
    if isinstance(value, dict):
        return TomlTable(value, where, problems)
    problems.append(f"{where} must be a column name or a table, is {value!r}")
    return None


def _text_rule(table: TomlTable) -> TextRule:
    column, columns, constant = table.text("column"), table.texts("columns"), table.text("constant")
    found = (column,) if column is not None else columns
    if sum((column is not None, bool(columns), constant is not None)) != 1:
        table.problems.append(f"{table.where} needs exactly one of column, columns, constant")
    return TextRule(
        columns=found,
        constant=constant,
        join=table.text("join"),
        extract=table.regex("extract"),
        case=table.text("case", one_of=("upper", "lower")),
        replace=table.pairs("replace"),
        values=table.pairs("values"),
        prefix=table.text("prefix", "") or "",
        suffix=table.text("suffix", "") or "",
        unless=table.text("unless"),
    )


def _event_rule(table: TomlTable) -> EventRule:
    column, name = table.text("column") or "", table.text("name") or ""
    tests = [key for key in ("equals", "matches", "present", *_NUMBER_TESTS) if table.has(key)]
    test = tests[0] if len(tests) == 1 else ""
    operand: str | float | bool | tuple[str, ...] = ""
    if test == "equals":
        operand = table.texts(test)
    elif test == "matches":
        operand = table.regex(test) or ""
    elif test == "present":
        operand = table.flag(test)
    elif test:
        operand = table.number(test, 0.0)
    else:
        for key in tests:
            table.raw(key)
        table.problems.append(
            f"{table.where} needs exactly one test: equals, matches, present, {', '.join(_NUMBER_TESTS)}"
        )
    if not column:
        table.problem("column", "is missing")
    _ga4(name, f"{table.where}.name", table.problems)
    table.close()
    return EventRule(column, test, operand, name)


def _ga4(name: str, where: str, problems: list[str]) -> str:
    if name not in GA4_EVENT_NAMES:
        known = ", ".join(GA4_EVENT_NAMES)
        problems.append(
            f"{where} must be a GA4 event name, is '{name}'{nearest(name, GA4_EVENT_NAMES)}; known: {known}"
        )
    return name


def _is_zone(name: str) -> bool:
    """Whether Java, which reads the times, knows the zone too, as far as its name shows."""
    if not name or name in _FILES_ONLY or name.startswith(_FOLDERS_ONLY):
        return False
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        return False
    return True


def _wrong_pattern(pattern: str) -> str:
    """The mistake in a Spark datetime pattern, as far as its letters show; empty if there is none."""
    bare = re.sub(r"'[^']*'", "", pattern)
    letters = {letter for letter in bare if letter.isascii() and letter.isalpha()}
    wrong = letters - set(_PATTERN_LETTERS)
    if "%" in bare or wrong or not any(letter in bare for letter in "yD"):
        return f"no datetime pattern; expected one of {', '.join(NAMED_FORMATS)}, or such as yyyy-MM-dd HH:mm:ss"
    return ""
