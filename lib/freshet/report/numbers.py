"""Numbers and times for readers: with units, thousands separators, and significant digits only."""

from datetime import datetime

NONE = "–"
"""Shown for an unknown number."""

_GAP = "\N{NO-BREAK SPACE}"
"""Between a number and its unit, so that a line does not break there."""


def count(value: float | None) -> str:
    """1067371 as 1,067,371."""
    return NONE if value is None else f"{value:,.0f}"


def share(value: float | None) -> str:
    """0.0378 as 3.8 %; one decimal below 10 %, or where the share would otherwise read as 0 or 100 %."""
    if value is None:
        return NONE
    percent = 100 * value
    if 0 < percent < 0.05:
        return f"<{_GAP}0.1{_GAP}%"
    digits = 1 if percent < 10 or 99 < percent < 100 else 0
    return f"{percent:.{digits}f}{_GAP}%"


def figure(value: float | None) -> str:
    """A quality figure with three decimals."""
    return NONE if value is None else f"{value:.3f}"


def interval(low: float | None, high: float | None) -> str:
    """The two ends of an interval, empty if there is none."""
    return "" if low is None or high is None else f"{low:.3f} to {high:.3f}"


def amount(value: float | None) -> str:
    """A mean with one decimal below 100 and none otherwise."""
    if value is None:
        return NONE
    return f"{value:,.1f}" if abs(value) < 100 else f"{value:,.0f}"


def seconds(value: float | None) -> str:
    """0.384 as 0.38 s, 74.2 as 74 s, 262 as 4 min 22 s."""
    if value is None:
        return NONE
    if value < 10:
        return f"{value:.2f}{_GAP}s"
    whole = round(value)
    return f"{whole}{_GAP}s" if whole < 120 else f"{whole // 60}{_GAP}min {whole % 60:02d}{_GAP}s"


def day(moment: datetime | None) -> str:
    """As in 9 Nov 2011."""
    return NONE if moment is None else f"{moment.day} {moment:%b %Y}"


def minute(moment: datetime | None) -> str:
    """As in 9 Nov 2011, 12:50."""
    return NONE if moment is None else f"{day(moment)}, {moment:%H:%M}"


def span(start: datetime | None, end: datetime | None) -> str:
    """The length of a window: in whole days from two days on, else in hours or minutes."""
    if start is None or end is None:
        return NONE
    minutes = (end - start).total_seconds() / 60
    if minutes >= 2 * 24 * 60:
        return f"{count(minutes / (24 * 60))} days"
    return f"{minutes / 60:.1f} hours" if minutes >= 120 else f"{minutes:.0f} minutes"


def signed(value: float, digits: int, *, plus: str = "") -> str:
    """A number with a typographic minus sign, and `plus` in front of those that are not negative."""
    text = f"{abs(value):,.{digits}f}"
    return f"−{text}" if value < 0 and float(text.replace(",", "")) else f"{plus}{text}"


def times_better(value: float | None, other: float | None) -> str:
    """How much higher `value` is than `other`, in percent of `other`: +11 %. Empty if it is undefined."""
    if value is None or other is None or other <= 0:
        return ""
    return signed(100 * (value / other - 1), 0, plus="+") + f"{_GAP}%"


def of_hundred(value: float | None) -> str:
    """A share as a number out of a hundred: 0.854 as 85."""
    return NONE if value is None else f"{100 * value:.0f}"


def compared(value: float | None) -> str:
    """A relative difference as a comparison: 0.35 as 35 % more, -0.1 as 10 % less; "as" where it rounds to nothing."""
    if value is None:
        return NONE
    percent = f"{100 * abs(value):.0f}"
    return "as" if percent == "0" else f"{percent}{_GAP}% {'more' if value > 0 else 'less'}"


def precise(value: float | None) -> str:
    """Four significant digits, as means of very different sizes need them: 0.04117, 23.41, 1,204."""
    return NONE if value is None else f"{value:,.4g}".replace("-", "\N{MINUS SIGN}")


def change(value: float | None) -> str:
    """`precise` with a sign also where it is positive."""
    return NONE if value is None else ("+" if value >= 0 else "") + precise(value)


def change_interval(low: float | None, high: float | None) -> str:
    """The two ends of the interval of a change; a dash if it is not known."""
    return NONE if low is None or high is None else f"{change(low)} to {change(high)}"


def probability(value: float) -> str:
    """A p-value: two digits, and as a bound where it is tiny."""
    return f"{value:.2g}" if value >= 0.001 else f"<{_GAP}0.001"


def lift(value: float | None) -> str:
    """A relative difference with its sign and three decimals."""
    return NONE if value is None else signed(value, 3, plus="+")
