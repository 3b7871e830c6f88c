"""The chart of an experiment's effects: each arm's difference from the control with its interval, around 0."""

from collections.abc import Sequence

from freshet.report.charts.svg import caption, chart, dot, line, nice_top, text
from freshet.report.numbers import signed

_TOP, _STRIP, _AXIS = 6, 26, 22

Effect = tuple[str, float, float | None, float | None]
"""Label, difference and the ends of its interval, as shares of the control's value."""


def effects_svg(name: str, effects: Sequence[Effect], *, title: str) -> str:
    """Rows of (label, difference, low, high): label and difference in percent, and below them a dot with its interval
    on an axis that is as long on both sides of 0. An effect without an interval has only the dot."""
    ends = [abs(end) for _, value, low, high in effects for end in (value, low, high) if end is not None]
    top = nice_top(100 * max(ends, default=0.0))
    rows: list[str] = []
    y: float = _TOP

    def at(share: float) -> float:
        return 50 + 50 * 100 * share / top

    for label, value, low, high in effects:
        parts, below = caption(y, label, _percent(100 * value))
        rows += parts
        middle = below + 11
        is_sure = low is not None and high is not None and (low > 0 or high < 0)
        kind = " ours" if is_sure and value > 0 else " against" if is_sure else ""
        if low is not None and high is not None:
            rows.append(line(at(low), middle, at(high), middle, f"interval{kind}"))
        rows.append(dot(at(value), middle, 6, f"dot{kind}", f"{label}: {_percent(100 * value)}"))
        y = below + _STRIP
    axis = [line(25.0 * step, _TOP, 25.0 * step, y, "mark zero" if step == 2 else "grid") for step in range(5)]
    for step, anchor in ((0, "start"), (2, "middle"), (4, "end")):
        axis.append(text(f"{25 * step}%", y + 15, _percent(top * (step - 2) / 2), kind="tick", anchor=anchor))
    described = "; ".join(f"{label} {_percent(100 * value)}" for label, value, _, _ in effects)
    return chart(name, y + _AXIS, title, described, [*axis, *rows])


def _percent(value: float) -> str:
    digits = 0 if value == 0 or abs(value) >= 10 else 1 if abs(value) >= 1 else 2
    return f"{signed(value, digits, plus='+' if value else '')}\N{NO-BREAK SPACE}%"
