"""Spark expressions for the rules of a mapping: texts, ids, numbers, yes or no. Nothing here raises on a bad value."""

import re
from collections.abc import Iterable
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    DataType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegralType,
    MapType,
    NumericType,
    StringType,
    StructType,
)

from freshet.sources.rules import NumberRule, TextRule

BLANKS = " \t\r\n\u00a0"
"""Stripped from both ends of every text: characters that exports leave around values, with the no-break space."""

_YES, _NO = ("true", "t", "yes", "y", "1", "1.0", "granted"), ("false", "f", "no", "n", "0", "0.0", "denied")
_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_EXACT = 1e15
"""Up to here a double holds every whole number exactly (2**53 is about 9e15)."""


def source_type(name: str, schema: StructType) -> DataType | None:
    """The type of a source column, or of a field within it (`user.id`); None when no column has that name."""
    if name in schema.names:
        return schema[name].dataType
    head, dot, rest = name.partition(".")
    inner = schema[head].dataType if dot and head in schema.names else None
    return source_type(rest, inner) if isinstance(inner, StructType) else None


def source_column(name: str, schema: StructType) -> Column:
    """The source column, or the field within one."""
    if name in schema.names:
        return F.col(f"`{name.replace('`', '``')}`")
    head, _, rest = name.partition(".")
    inner = schema[head].dataType
    assert isinstance(inner, StructType)  # the mapping was checked against this schema
    return reduce(lambda column, part: column.getField(part), rest.split("."), source_column(head, schema))


def with_plain_texts(raw: DataFrame, names: Iterable[str], null_values: tuple[str, ...]) -> DataFrame:
    """`raw` with a column of stripped text for each source column, computed once however often rules use it.

    Empty texts and `null_values` are null. Whole doubles lose their ".0": 13085.0 is an id that a spreadsheet program
    has read as a number.
    """
    wanted = list(dict.fromkeys(names))
    stripped = raw.select("*", *[_stripped(name, raw.schema).alias(_plain(name)) for name in wanted])
    if not wanted:
        return stripped
    text = {name: F.col(f"`{_plain(name)}`") for name in wanted}
    # A second projection: within one, each text would be stripped twice, to be compared and to be kept.
    return stripped.withColumns(
        {_plain(name): F.when(~text[name].isin("", *null_values), text[name]) for name in wanted}
    )


def plain_text(name: str) -> Column:
    """The stripped text of a source column, as `with_plain_texts` made it."""
    return F.col(f"`{_plain(name)}`")


def _plain(name: str) -> str:
    return "_text " + name.replace("`", "'")


def _stripped(name: str, schema: StructType) -> Column:
    column, kind = source_column(name, schema), source_type(name, schema)
    if isinstance(kind, FloatType | DoubleType):
        whole = (column == F.floor(column)) & (F.abs(column) < _EXACT)
        return F.when(whole, column.cast("long").cast("string")).when(~F.isnan(column), column.cast("string"))
    if isinstance(kind, StructType | ArrayType | MapType):
        return F.to_json(column)
    text = column.cast("string")
    return F.btrim(text, F.lit(BLANKS)) if isinstance(kind, StringType) else text


def text_of(rule: TextRule) -> Column:
    """The text that a rule gives for a record; null when it is empty."""
    if rule.constant is not None:
        value = F.lit(rule.constant)
    else:
        parts = [plain_text(name) for name in rule.columns]
        value = parts[0] if len(parts) == 1 else F.coalesce(*parts)
        if rule.join is not None and len(parts) > 1:
            joint = F.lit(rule.join)
            value = F.concat(*[piece for part in parts for piece in (joint, part)][1:])
    if rule.extract is not None:
        group = 1 if re.compile(rule.extract).groups else 0
        value = F.nullif(F.regexp_extract(value, rule.extract, group), F.lit(""))
    if rule.case is not None:
        value = F.upper(value) if rule.case == "upper" else F.lower(value)
    for old, new in rule.replace:
        value = F.replace(value, F.lit(old), F.lit(new))
    if rule.values:
        value = F.coalesce(mapped(value, rule.values), value)
    if rule.prefix or rule.suffix:
        value = F.concat(F.lit(rule.prefix), value, F.lit(rule.suffix))
    if rule.unless is not None:
        value = F.when(plain_text(rule.unless).isNull(), value)
    return value


def mapped(value: Column, pairs: tuple[tuple[str, str], ...]) -> Column:
    """The value of a text in `pairs`, null for texts that they do not list."""
    table = F.create_map(*[F.lit(text) for pair in pairs for text in pair])
    return F.try_element_at(table, value)


def id_text(rule: TextRule, schema: StructType) -> Column:
    """As `text_of`, for ids: "13085.0" becomes "13085" in text columns too."""
    value = text_of(rule)
    if not any(isinstance(source_type(name, schema), StringType | DecimalType) for name in rule.columns):
        return value
    # The plain search comes first: it is much cheaper than the regular expression, and almost always false.
    return F.when(value.contains(".0"), F.regexp_replace(value, r"^(-?[0-9]+)\.0+$", "$1")).otherwise(value)


def number_of(rule: NumberRule, schema: StructType) -> Column:
    """The number (double) that a rule gives for a record; null when it is empty or not a finite number."""
    kind = source_type(rule.text.columns[0], schema) if rule.text.columns else None
    plain = rule.text == TextRule(columns=rule.text.columns[:1])
    if isinstance(kind, NumericType) and plain:
        number = source_column(rule.text.columns[0], schema).cast("double")
    else:
        number = number_from(text_of(rule.text), rule.decimal, rule.thousands)
    if isinstance(kind, IntegralType) and plain and rule.scale == 1.0:
        return number
    number = number * F.lit(rule.scale) if rule.scale != 1.0 else number
    return F.when(~F.isnan(number) & (F.abs(number) < F.lit(float("inf"))), number)


def number_from(text: Column, decimal: str, thousands: str) -> Column:
    """A text read as a double; null unless the whole text is a decimal number."""
    plain = F.replace(text, F.lit(thousands), F.lit("")) if thousands else text
    plain = F.replace(plain, F.lit(decimal), F.lit(".")) if decimal != "." else plain
    # The pattern comes first: the cast alone would also accept "1d", "Infinity" and "NaN".
    return F.when(plain.rlike(_NUMBER), plain.try_cast("double"))


def yes_or_no(text: Column) -> Column:
    """true or false; null for a text that means neither."""
    plain = F.lower(text)
    return F.when(plain.isin(*_YES), F.lit(True)).when(plain.isin(*_NO), F.lit(False))
