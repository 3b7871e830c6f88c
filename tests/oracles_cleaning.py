"""Slow and obvious readings of texts, to check the Spark expressions against."""

import math
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

BLANKS = " \t\r\n\u00a0"


def stripped(text: str | None) -> str | None:
    """A text without blanks around it; None when nothing is left."""
    return (text or "").strip(BLANKS) or None


def number(text: str | None) -> float | None:
    """A decimal number with digits 0 to 9, nothing else: Python's float also knows 1_000, nan and other digits."""
    plain = stripped(text)
    if plain is None or not set(plain) <= set("0123456789.+-eE"):
        return None
    try:
        value = float(plain)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def identifier(text: str | None) -> str | None:
    """A whole number with nothing but zeros behind its point loses them; other texts stay."""
    plain = stripped(text)
    if plain is None:
        return None
    whole, point, rest = plain.partition(".")
    digits = whole.removeprefix("-")
    if point and rest and set(rest) == {"0"} and digits and set(digits) <= set("0123456789"):
        return whole
    return plain


def clock_time(year: int, month: int, day: int, hour: int, minute: int, zone: str) -> datetime | None:
    """The UTC moment (without zone) of a clock time in a zone; None for a date that is none.

    Skipped times move forward with the clock, repeated ones are the earlier.
    """
    try:
        local = datetime(year, month, day, hour, minute, tzinfo=ZoneInfo(zone))
    except ValueError:
        return None
    return local.astimezone(UTC).replace(tzinfo=None)


def counted_time(count: float, unit_seconds: float) -> datetime:
    """The UTC moment so many units after 1970."""
    return datetime(1970, 1, 1) + timedelta(microseconds=round(count * unit_seconds * 1e6))
