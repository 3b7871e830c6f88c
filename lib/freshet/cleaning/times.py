"""Spark expressions for moments: a mapping's time formats and zones to UTC timestamps. Nothing here raises."""

from datetime import UTC, datetime

from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql.types import DateType, StructType, TimestampNTZType, TimestampType

from freshet.cleaning.values import number_from, number_of, source_column, source_type, text_of
from freshet.sources.rules import NumberRule, TextRule, TimeRule

_UNIT_MICROS = {"unix_s": 1_000_000, "unix_ms": 1_000, "unix_us": 1, "days": 86_400_000_000}
_ZONE_LETTERS = "zZXxVO"
_ISO_ZONE = r"(Z|UTC|GMT|[+-][0-9]{2}(:?[0-9]{2})?|[A-Za-z]+/[A-Za-z_/]+)$"
_ISO = r"^[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([T ]|$)"
_LATEST_MICROS = 253_402_300_799_999_999
"""The last microsecond of the year 9999. Counted times beyond it come from a wrong unit."""
_LAST_MILLISECOND = 86_399_999


def moment_of(rule: TimeRule, schema: StructType) -> Column:
    """The UTC timestamp that a rule gives for a record; null when the value is empty or cannot be read."""
    direct = _typed_moment(rule, schema)
    if direct is not None:
        moment = direct
    else:
        text = text_of(rule.text)
        moment = F.coalesce(*[_read(text, form, rule) for form in rule.formats])
    step = _sequence(rule, schema)
    if step is None:
        return moment
    return F.timestamp_micros(F.unix_micros(moment) + step * F.lit(1_000))


def _typed_moment(rule: TimeRule, schema: StructType) -> Column | None:
    """The moment of a source column that already holds times, None when it holds something else."""
    if rule.text != TextRule(columns=rule.text.columns[:1]):
        return None
    name = rule.text.columns[0]
    kind = source_type(name, schema)
    if isinstance(kind, TimestampType):
        return source_column(name, schema)
    if isinstance(kind, TimestampNTZType | DateType):
        # The session runs in UTC, so the cast keeps the clock time, which is in the mapping's zone.
        return _in_zone(source_column(name, schema).cast("timestamp"), rule.zone)
    return None


def _read(text: Column, form: str, rule: TimeRule) -> Column:
    if form in _UNIT_MICROS:
        origin = int(datetime.fromisoformat(rule.origin).replace(tzinfo=UTC).timestamp()) * 1_000_000
        micros = F.round(number_from(text, ".", "") * F.lit(float(_UNIT_MICROS[form]))) + F.lit(float(origin))
        counted = F.when(F.abs(micros) <= _LATEST_MICROS, F.timestamp_micros(micros.try_cast("long")))
        return _in_zone(counted, rule.zone) if form == "days" else counted
    if form == "iso":
        # The cast alone would also accept "12:30" as a time of today and "2019" as a year.
        moment = F.when(text.rlike(_ISO), text.try_cast("timestamp"))
        return F.when(text.rlike(_ISO_ZONE) & text.contains(":"), moment).otherwise(_in_zone(moment, rule.zone))
    moment = F.try_to_timestamp(text, F.lit(form))
    return moment if _names_zone(form) else _in_zone(moment, rule.zone)


def _in_zone(moment: Column, zone: str) -> Column:
    """A clock time of `zone` as an instant. Times skipped by a clock change are moved forward by its length."""
    return moment if zone == "UTC" else F.to_utc_timestamp(moment, zone)


def _names_zone(pattern: str) -> bool:
    quoted = False
    for letter in pattern:
        if letter == "'":
            quoted = not quoted
        elif not quoted and letter in _ZONE_LETTERS:
            return True
    return False


def _sequence(rule: TimeRule, schema: StructType) -> Column | None:
    if rule.sequence_by_row:
        number = F.col("source_offset")
    elif rule.sequence is not None:
        number = number_of(NumberRule(TextRule(columns=(rule.sequence,))), schema).try_cast("long")
    else:
        return None
    return F.least(F.greatest(F.coalesce(number, F.lit(0)), F.lit(0)), F.lit(_LAST_MILLISECOND))
