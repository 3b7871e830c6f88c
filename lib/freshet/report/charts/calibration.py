"""The calibration plot: observed shares against predicted probabilities."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from freshet.report.numbers import count, share

_SIZE, _EDGE = 320, 44
_PLOT = _SIZE - _EDGE - 12


def calibration_svg(bins: Sequence[Mapping[str, Any]], *, title: str) -> str:
    """An SVG of mean_predicted against observed_share (both 0 to 1) per bin; a dot's area grows with its n.

    `bins` as from evaluation.classification.calibration, in any order. Dots on the diagonal are perfect. The SVG is
    self-contained, with its own colours; the page's style sheet sets others by class.
    """
    largest = max((int(row["n"]) for row in bins), default=1)
    dots, tooltips = [], []
    for row in bins:
        x, y = _place(row["mean_predicted"], row["observed_share"])
        radius = 3 + 9 * (int(row["n"]) / largest) ** 0.5
        tooltip = (
            f"{count(row['n'])} shoppers: predicted {share(row['mean_predicted'])}, "
            f"observed {share(row['observed_share'])}"
        )
        tooltips.append(tooltip)
        dots.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}"><title>{escape(tooltip)}</title></circle>')
    down = f"translate(12 {12 + _PLOT / 2}) rotate(-90)"
    (left, bottom), (right, top) = _place(0, 0), _place(1, 1)
    ticks = "".join(_tick(part) for part in (0.0, 0.25, 0.5, 0.75, 1.0))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_SIZE} {_SIZE}" role="img" '
        f'class="chart square" font-family="sans-serif" font-size="11"><title>{escape(title)}</title>'
        f"<desc>{escape('; '.join(tooltips))}</desc>"
        f'<rect x="{left}" y="{top}" width="{_PLOT}" height="{_PLOT}" fill="none" stroke="#999" class="frame"/>'
        f'<line x1="{left}" y1="{bottom}" x2="{right}" y2="{top}" stroke="#999" stroke-dasharray="4 3" class="frame"/>'
        f'{ticks}<g fill="#1f6f8b" fill-opacity="0.75" class="dots">{"".join(dots)}</g>'
        f'<text x="{left + _PLOT / 2}" y="{_SIZE - 6}" text-anchor="middle" class="tick">predicted</text>'
        f'<text transform="{down}" text-anchor="middle" class="tick">observed</text></svg>'
    )


def _place(x: float, y: float) -> tuple[float, float]:
    return _EDGE + x * _PLOT, 12 + (1 - y) * _PLOT


def _tick(part: float) -> str:
    x, bottom = _place(part, 0)
    left, y = _place(0, part)
    return (
        f'<text x="{x}" y="{bottom + 16}" text-anchor="middle" class="tick">{part:.0%}</text>'
        f'<text x="{left - 5}" y="{y + 4}" text-anchor="end" class="tick">{part:.0%}</text>'
    )
