"""Spark expressions for the GA4 name of a record's event."""

from functools import reduce

from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from freshet.cleaning.values import mapped, number_of, plain_text, text_of
from freshet.contracts.events import GA4_EVENT_NAMES
from freshet.sources.rules import EventNames, EventRule, NumberRule, TextRule


def event_name_of(names: EventNames, schema: StructType) -> Column:
    """The GA4 name of a record's event; null when neither the map nor a rule covers it."""
    if names.constant is not None:
        return F.lit(names.constant)
    if names.text is not None:
        value = text_of(names.text)
        known = mapped(value, names.values) if names.values else F.when(value.isin(*GA4_EVENT_NAMES), value)
    else:
        tests = [(_passes(rule, schema), rule.name) for rule in names.rules]
        known = F.lit(None).cast("string")
        for test, name in reversed(tests):
            known = F.when(test, F.lit(name)).otherwise(known)
    return known if names.otherwise is None else F.coalesce(known, F.lit(names.otherwise))


def event_value_of(names: EventNames) -> Column:
    """The source values that decide the event name, for messages: "column = value" for each such column."""
    if names.text is not None:
        columns = names.text.columns
    else:
        columns = tuple(dict.fromkeys(rule.column for rule in names.rules))
    said = [F.concat(F.lit(f"{name} = "), F.coalesce(plain_text(name), F.lit("(empty)"))) for name in columns]
    return F.concat_ws(", ", *said) if said else F.lit("")


def not_a_number(names: EventNames, schema: StructType) -> Column:
    """True where a rule compares a value that is neither empty nor a number."""
    compared = dict.fromkeys(rule.column for rule in names.rules if isinstance(rule.operand, float))
    wrong = [plain_text(name).isNotNull() & _number(name, schema).isNull() for name in compared]
    return reduce(lambda one, other: one | other, wrong, F.lit(False))


def _passes(rule: EventRule, schema: StructType) -> Column:
    if rule.test == "present":
        present = plain_text(rule.column).isNotNull()
        return present if rule.operand else ~present
    if isinstance(rule.operand, float):
        number, limit = _number(rule.column, schema), F.lit(rule.operand)
        passed = {
            "below": number < limit,
            "above": number > limit,
            "at_least": number >= limit,
            "at_most": number <= limit,
        }[rule.test]
    else:
        text = plain_text(rule.column)
        passed = text.rlike(str(rule.operand)) if rule.test == "matches" else text.isin(*_texts(rule.operand))
    return F.coalesce(passed, F.lit(False))


def _texts(operand: str | bool | tuple[str, ...]) -> tuple[str, ...]:
    return operand if isinstance(operand, tuple) else (str(operand),)


def _number(name: str, schema: StructType) -> Column:
    return number_of(NumberRule(TextRule(columns=(name,))), schema)
