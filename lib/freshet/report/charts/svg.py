"""Parts of the inline charts. Positions along x are percentages, so that a chart fills any width without scaling text.

Colours are set by class in the page's style sheet, once for light and once for dark.
"""

from collections.abc import Sequence
from html import escape


def text(x: str, y: float, words: str, *, kind: str = "", anchor: str = "start") -> str:
    """A line of text; `x` as in 0 or 50%, `kind` its CSS class."""
    return f'<text x="{x}" y="{y:g}" class="{kind}" text-anchor="{anchor}">{escape(words)}</text>'


def caption(y: float, label: str, value: str, *, kind: str = "") -> tuple[list[str], float]:
    """A label at the left and a value at the right, and the y below them.

    What follows the first comma of a label is on its own small line, as a phone is too narrow for a long label.
    """
    name, _, rest = label.partition(", ")
    parts = [text("0", y + 16, name, kind=f"label{kind}")]
    parts.append(text("100%", y + 16, value, kind=f"value{kind}", anchor="end"))
    if rest:
        parts.append(text("0", y + 32, rest, kind="tick"))
    return parts, y + (36 if rest else 20)


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    """A line between two points, x in percent."""
    return f'<line x1="{x1:.2f}%" y1="{y1:g}" x2="{x2:.2f}%" y2="{y2:g}" class="{kind}"/>'


def dot(x: float, y: float, radius: float, kind: str, tooltip: str) -> str:
    """A dot at x percent; `tooltip` is shown on hover."""
    return f'<circle cx="{x:.2f}%" cy="{y:g}" r="{radius:g}" class="{kind}"><title>{escape(tooltip)}</title></circle>'


def bar(x: float, y: float, width: float, height: float, kind: str, tooltip: str) -> str:
    """A bar from x percent, `width` percent wide."""
    return (
        f'<rect x="{x:.2f}%" y="{y:g}" width="{max(width, 0):.2f}%" height="{height:g}" rx="2" class="{kind}">'
        f"<title>{escape(tooltip)}</title></rect>"
    )


def chart(name: str, height: float, title: str, description: str, parts: Sequence[str]) -> str:
    """The whole chart, full width and `height` pixels high. `name` must be unique on the page: it is part of ids."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="chart" width="100%" height="{height:g}" role="img" '
        f'aria-labelledby="{name}-title {name}-desc"><title id="{name}-title">{escape(title)}</title>'
        f'<desc id="{name}-desc">{escape(description)}</desc>{"".join(parts)}</svg>'
    )


def nice_top(highest: float) -> float:
    """The end of an axis from 0: the next of 1, 1.5, 2, 3, 4, 5, 6, 8 or 10 times a power of ten."""
    if highest <= 0:
        return 1.0
    power = 1.0
    while highest > 10 * power:
        power *= 10
    while highest <= power:
        power /= 10
    return next(step * power for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if highest <= step * power * (1 + 1e-9))
