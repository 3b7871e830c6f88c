"""The chart of a quality figure by model: a dot for each, with its 95 % interval as a line."""

from collections.abc import Callable, Sequence

from freshet.report import words
from freshet.report.charts.svg import caption, chart, dot, line, nice_top, text
from freshet.report.content import Figure
from freshet.report.numbers import figure, interval

_TOP, _STRIP, _AXIS = 6, 26, 22


def intervals_svg(
    name: str, figures: Sequence[Figure], *, ours: str, title: str, label: Callable[[Figure], str] | None = None
) -> str:
    """Models in the given order: name and figure, and below them a dot with its interval on an axis from 0.

    Figures without a value are left out; a figure without an interval has only the dot. `label` is what a figure is
    called, the model in words without it.
    """
    called = label or (lambda figure: words.model(figure.model))
    known = [(one, one.value) for one in figures if one.value is not None]
    top = nice_top(max((one.high or value for one, value in known), default=1.0))
    rows: list[str] = []
    y: float = _TOP
    for one, value in known:
        mine = " ours" if one.model == ours else ""
        ends = interval(one.low, one.high)
        tooltip = f"{called(one)}: {figure(value)}" + (f" ({ends})" if ends else "")
        parts, below = caption(y, called(one), figure(value), kind=mine)
        rows += parts
        middle = below + 11
        if one.low is not None and one.high is not None:
            rows.append(line(100 * one.low / top, middle, 100 * one.high / top, middle, f"interval{mine}"))
        rows.append(dot(100 * value / top, middle, 6 if mine else 4.5, f"dot{mine}", tooltip))
        y = below + _STRIP
    axis = []
    for step in range(5):
        x = 25.0 * step
        axis.append(line(x, _TOP, x, y, "grid"))
        anchor = "start" if step == 0 else "end" if step == 4 else "middle"
        axis.append(text(f"{x:g}%", y + 15, f"{top * step / 4:.3g}", kind="tick", anchor=anchor))
    described = "; ".join(f"{called(one)} {figure(value)}" for one, value in known)
    return chart(name, y + _AXIS, title, described, [*axis, *rows])
