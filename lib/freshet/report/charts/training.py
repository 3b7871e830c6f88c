"""Plots of a training run, each in its own file: what was tried, and what was chosen."""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from freshet.report.charts.bars import rows_svg
from freshet.report.numbers import figure


def silhouettes_svg(silhouettes: Mapping[int, float], *, chosen: int) -> str:
    """The silhouette of each number of segments that was tried."""
    rows = [
        (f"{count} segments{', chosen' if count == chosen else ''}", value, figure(value))
        for count, value in sorted(silhouettes.items())
    ]
    return alone(rows_svg("silhouettes", rows, title="Silhouette by number of segments"))


def trials_svg(trials: Sequence[Mapping[str, Any]]) -> str:
    """The validation figure of each trial of a model, in order, without trials of a blend or without a figure."""
    rows = []
    for trial in trials:
        values = [value for value in trial["ndcg"].values() if value is not None]
        if "weights" not in trial and values:
            settings = ", ".join(f"{name} {value}" for name, value in trial.items() if name not in ("kind", "ndcg"))
            rows.append((f"{trial['kind']}, {settings}", sum(values), figure(sum(values))))
    return alone(rows_svg("trials", rows, title="NDCG on validation, summed over both tasks, by trial"))


def blend_svg(weights: Mapping[str, Mapping[str, float]]) -> str:
    """The chosen weight of each term of a list, by policy."""
    rows = [
        (f"{term}, {policy}", weight, f"{weight:.3g}")
        for policy, terms in weights.items()
        for term, weight in sorted(terms.items(), key=lambda pair: -abs(pair[1]))
    ]
    return alone(rows_svg("blend", rows, title="Weights of the blend"))


def alone(drawn: str) -> str:
    """A chart as a file of its own, with the colours and style rules of the page embedded."""
    folder = files("freshet.report").joinpath("template")
    rules = "".join(folder.joinpath(name).read_text(encoding="utf-8") for name in ("colours.css", "charts.css"))
    opening, rest = drawn.split(">", maxsplit=1)
    return f"{opening}><style>{rules}svg.chart {{ background: var(--surface); font-family: sans-serif; }}</style>{rest}"
