"""The chart of the benefit of fold-in: each metric before and after, on one line."""

from collections.abc import Sequence

from freshet.report.charts.svg import caption, chart, dot, line, nice_top
from freshet.report.content import Figure
from freshet.report.numbers import figure, times_better


def before_after_svg(name: str, pairs: Sequence[tuple[str, Figure, Figure]], *, title: str) -> str:
    """Rows of (label, before, after): a hollow and a filled dot, connected, over their intervals; one axis from 0."""
    ends = [one.high or one.value or 0.0 for _, before, after in pairs for one in (before, after)]
    top = nice_top(max(ends, default=1.0))
    parts: list[str] = []
    captions = []
    y = 0.0
    for label, before, after in pairs:
        old, new = before.value or 0.0, after.value or 0.0
        gain = times_better(after.value, before.value)
        change = f"{figure(before.value)} → {figure(after.value)}" + (f" ({gain})" if gain else "")
        named, below = caption(y, label, change)
        middle = below + 12
        parts += [*named, line(0, middle, 100, middle, "grid")]
        for one, kind in ((before, "interval wide"), (after, "interval ours wide")):
            if one.low is not None and one.high is not None:
                parts.append(line(100 * one.low / top, middle, 100 * one.high / top, middle, kind))
        parts.append(line(100 * old / top, middle, 100 * new / top, middle, "join"))
        parts.append(dot(100 * old / top, middle, 5, "dot hollow", f"before: {figure(old)}"))
        parts.append(dot(100 * new / top, middle, 6, "dot ours", f"after: {figure(new)}"))
        captions.append(f"{label}: {change}")
        y = below + 32
    return chart(name, y, title, "; ".join(captions), parts)
