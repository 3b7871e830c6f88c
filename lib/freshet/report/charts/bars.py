"""Charts of parts of a whole: one bar divided into parts, and rows of bars."""

from collections.abc import Sequence
from datetime import datetime

from freshet.report.charts.svg import bar, caption, chart
from freshet.report.numbers import count, share, span

Part = tuple[str, float, str]
"""Name, size and CSS class of a part."""


def parts_svg(name: str, parts: Sequence[Part], *, title: str) -> str:
    """One bar over the whole width, divided by size. A part that is not empty is always visible."""
    whole = sum(size for _, size, _ in parts)
    drawn, captions, x = [], [], 0.0
    for label, size, kind in parts:
        width = 100 * size / whole if whole else 0.0
        tooltip = f"{label}: {count(size)} ({share(size / whole if whole else None)})"
        if size:
            drawn.append(bar(min(x, 99.6), 0, max(width, 0.4), 20, kind, tooltip))
        captions.append(tooltip)
        x += width
    return chart(name, 20, title, "; ".join(captions), drawn)


def windows_svg(name: str, windows: Sequence[tuple[str, datetime, datetime, str]], *, title: str) -> str:
    """Consecutive time windows (label, start, end, class) as one bar, divided by length."""
    lengths = [(end - start).total_seconds() for _, start, end, _ in windows]
    whole, drawn, x = sum(lengths) or 1.0, [], 0.0
    captions = [f"{label}: {span(start, end)}" for label, start, end, _ in windows]
    for (_, _, _, kind), length, tooltip in zip(windows, lengths, captions, strict=True):
        width = 100 * length / whole
        drawn.append(bar(min(x, 99.6), 0, max(width, 0.4), 20, kind, tooltip))
        x += width
    return chart(name, 20, title, "; ".join(captions), drawn)


def rows_svg(name: str, rows: Sequence[tuple[str, float, str]], *, title: str) -> str:
    """Rows of (label, size, formatted value): label and value above a bar; the largest size fills the width.

    Negative sizes are drawn by their magnitude, in another colour.
    """
    most = max((abs(size) for _, size, _ in rows), default=0.0) or 1.0
    drawn: list[str] = []
    y = 0.0
    for label, size, value in rows:
        parts, below = caption(y, label, value)
        tooltip = f"{label}: {value}"
        drawn += parts
        drawn.append(bar(0, below + 3, 100, 8, "track", tooltip))
        drawn.append(bar(0, below + 3, 100 * abs(size) / most, 8, "bar" if size >= 0 else "bar below", tooltip))
        y = below + 24
    return chart(name, y, title, "; ".join(f"{label} {value}" for label, _, value in rows), drawn)


def share_pairs_svg(name: str, rows: Sequence[tuple[str, float, float]], *, title: str) -> str:
    """Rows of (label, share, share that it is compared with): two bars below each other; the largest share fills the
    width."""
    most = max((max(one, other) for _, one, other in rows), default=0.0) or 1.0
    drawn: list[str] = []
    captions: list[str] = []
    y = 0.0
    for label, one, other in rows:
        value = f"{share(one)} · {share(other)}"
        parts, below = caption(y, label, value)
        drawn += parts
        for place, (size, kind) in enumerate(((one, "part ours"), (other, "part quiet"))):
            drawn.append(bar(0, below + 3 + 8 * place, 100 * size / most, 7, kind, f"{label}: {share(size)}"))
        captions.append(f"{label} {value}")
        y = below + 30
    return chart(name, y, title, "; ".join(captions), drawn)
