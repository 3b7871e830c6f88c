"""Renders the content of the report as HTML, with automatic escaping. Uses only this folder's templates."""

from dataclasses import replace
from functools import cache
from importlib.resources import files

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup

from freshet.report import numbers, words
from freshet.report.charts.bars import parts_svg, rows_svg, share_pairs_svg, windows_svg
from freshet.report.charts.before_after import before_after_svg
from freshet.report.charts.calibration import calibration_svg
from freshet.report.charts.effects import Effect, effects_svg
from freshet.report.charts.intervals import intervals_svg
from freshet.report.charts.latency import latency_svg
from freshet.report.content import (
    AuditFigure,
    Audits,
    Bin,
    Figure,
    Live,
    Missing,
    Page,
    Quality,
    Recipe,
    RunWindows,
    Segments,
)  # fmt: skip
from freshet.report.experiment_content import Experiment

_NUMBERS = (
    numbers.count,
    numbers.share,
    numbers.figure,
    numbers.interval,
    numbers.amount,
    numbers.seconds,
    numbers.day,
    numbers.minute,
    numbers.span,
    numbers.times_better,
    numbers.of_hundred,
    numbers.compared,
    numbers.precise,
    numbers.change,
    numbers.change_interval,
    numbers.probability,
    numbers.lift,
)
_WORDS = (
    words.refusal,
    words.event,
    words.flag,
    words.task,
    words.task_question,
    words.model,
    words.term,
    words.reason,
    words.segment,
    words.protocol,
    words.audit,
    words.audit_meaning,
    words.group,
    words.experiment_metric,
    words.decision,
)
_LIVE_METRICS = {
    "ndcg": "NDCG, how well the list is ordered",
    "recall": "Recall, share of what they took",
    "hit": "Hit rate, at least one item taken",
}


def rendered(page: Page) -> str:
    """The whole page as HTML without scripts or external requests; every text from the data is escaped.

    Equal pages give equal HTML, and only the line with the time of generation depends on `generated_at`.
    """
    return _environment().get_template("page.html").render(page=page)


@cache
def _environment() -> Environment:
    folder = files("freshet.report").joinpath("template")
    texts = {entry.name: entry.read_text(encoding="utf-8") for entry in folder.iterdir() if entry.is_file()}
    environment = Environment(
        loader=DictLoader(texts), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update({shown.__name__: shown for shown in (*_NUMBERS, *_WORDS)})
    environment.tests["missing"] = lambda part: isinstance(part, Missing)
    environment.tests["with_effects"] = lambda experiment: bool(_effects(experiment))
    drawings = (
        _intake_chart,
        _windows_chart,
        _quality_chart,
        _groups_chart,
        _exposure_chart,
        _effects_chart,
        _weights_chart,
        _latency_chart,
        _live_chart,
        _segments_chart,
        _calibration_chart,
    )
    environment.globals.update({draw.__name__.removeprefix("_"): draw for draw in drawings})
    return environment


def _intake_chart(accepted: int, refused: int) -> Markup:
    parts = [("accepted", accepted, "part ours"), ("refused", refused, "part warm")]
    return Markup(parts_svg("intake-chart", parts, title="Records accepted and refused"))


def _windows_chart(windows: RunWindows) -> Markup:
    first = windows.first or windows.validation_cut
    spans = [
        ("learned from", first, windows.validation_cut, "part quiet"),
        ("settings chosen on", windows.validation_cut, windows.cut, "part ours"),
        ("tested and replayed on", windows.cut, windows.as_of, "part warm"),
    ]
    return Markup(windows_svg("windows-chart", spans, title="How the run divided time"))


def _quality_chart(quality: Quality, task: str, k: int) -> Markup:
    title = f"{words.task(task)}: NDCG@{k} by method, with 95 % intervals"
    return Markup(intervals_svg(f"quality-{_slug(task)}", quality.at(task, "ndcg", k), ours=quality.ours, title=title))


def _groups_chart(audits: Audits, quality: Quality | Missing, audit: str, k: int) -> Markup:
    """Below all shoppers, where their figure is known, the groups of an audit."""
    whole = None if isinstance(quality, Missing) else quality.own(audits.task, "ndcg", k)
    figures: list[Figure] = [*([] if whole is None else [whole]), *audits.at(audits.task, audit, "ndcg")]

    def label(one: Figure) -> str:
        if not isinstance(one, AuditFigure):
            return "All shoppers"
        return f"{words.group(one.group)} ({numbers.count(one.users)})"

    title = f"{words.audit(audit)}: NDCG@{k} by group, with 95 % intervals"
    # The groups have the colour of other models: what stands out is the figure of all.
    shown = [replace(one, model="") if isinstance(one, AuditFigure) else one for one in figures]
    return Markup(intervals_svg(f"audit-{_slug(audit)}", shown, ours=audits.ours, title=title, label=label))


def _exposure_chart(audits: Audits, audit: str) -> Markup:
    bought = {one.group: one.value for one in audits.at(audits.task, audit, "purchase_share")}
    rows = [
        (words.group(one.group), one.value or 0.0, bought.get(one.group) or 0.0)
        for one in audits.at(audits.task, audit, "exposure_share")
    ]
    title = f"{words.audit(audit)}: share of places and of purchases"
    return Markup(share_pairs_svg(f"exposure-{_slug(audit)}", rows, title=title))


def _effects(experiment: Experiment) -> list[Effect]:
    """Differences as shares of the control's mean, where both are known; none where they cannot be believed."""
    if experiment.is_invalid:
        return []
    means = {one.metric: one.value for one in experiment.control.figures}
    several = len([arm for arm in experiment.arms if arm.decision is not None]) > 1
    found: list[Effect] = []
    for arm in experiment.arms:
        for one in arm.figures:
            mean = means.get(one.metric)
            if one.difference is not None and mean is not None and mean > 0:
                label = words.experiment_metric(one.metric)
                low, high = (None if end is None else end / mean for end in (one.low, one.high))
                found.append((f"{arm.name}: {label}" if several else label, one.difference / mean, low, high))
    return found


def _effects_chart(experiment: Experiment, place: int) -> Markup:
    title = f"{experiment.name}: difference from {experiment.control.name}"
    return Markup(effects_svg(f"effects-{place}", _effects(experiment), title=title))


def _weights_chart(recipe: Recipe, task: str) -> Markup:
    weights = dict(recipe.weights)[task]
    rows = [(words.term(term), weight, numbers.signed(weight, 2)) for term, weight in weights]
    return Markup(rows_svg(f"weights-{_slug(task)}", rows, title=f"{words.task(task)}: weights of the score"))


def _latency_chart(live: Live) -> Markup:
    return Markup(latency_svg("latency-chart", live, title="Seconds until fresh lists can be read, by micro-batch"))


def _live_chart(live: Live, k: int) -> Markup:
    pairs: list[tuple[str, Figure, Figure]] = []
    for metric, label in _LIVE_METRICS.items():
        before, after = (live.figure(model, metric, k) for model in ("before_fold_in", "after_fold_in"))
        if before is not None and after is not None:
            pairs.append((label, before, after))
    return Markup(before_after_svg("live-chart", pairs, title="Quality before and after fold-in"))


def _segments_chart(segments: Segments) -> Markup:
    whole = segments.shoppers or 1
    rows = [
        (one.name, float(one.size), f"{numbers.count(one.size)} · {numbers.share(one.size / whole)}")
        for one in segments.segments
    ]
    return Markup(rows_svg("segments-chart", rows, title="Shoppers by segment"))


def _calibration_chart(bins: tuple[Bin, ...]) -> Markup:
    shown = [{"n": one.n, "mean_predicted": one.mean_predicted, "observed_share": one.observed_share} for one in bins]
    return Markup(calibration_svg(shown, title="Predicted probability and what happened"))


def _slug(name: str) -> str:
    return "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in name)
