"""Limits on audits: why a challenger that passed the gate's comparisons is refused all the same."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from freshet.evaluation.audits.exposure import EXPOSURE, EXPOSURE_RATIO, POPULARITY_LIFT
from freshet.evaluation.audits.parameters import NO_LIMIT, AuditParameters, limited_items
from freshet.evaluation.gate import GateDecision
from freshet.evaluation.ranking import Figures


@dataclass(frozen=True)
class LimitResult:
    """What a limit, in words, says of a challenger: `refusals` are reasons to refuse it, `notes` say where it could not
    be judged. `metrics` are the figures that were compared, by name."""

    limit: str
    refusals: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    metrics: dict[str, float] = field(default_factory=dict)


def group_refusals(differences: Figures, *, max_loss: float, min_users: int) -> list[str]:
    """A reason for each group of at least `min_users` shoppers that certainly loses more than `max_loss`.

    `differences` are rows of `group_differences` of challenger minus champion with a column task. A loss is certain if
    the upper end of the interval is below -max_loss; a difference without an interval, or with NaN, shows nothing.
    """
    return [
        f"{row['task']}: {row['audit']} {row['group']} loses: {row['metric']}@{row['k']} against the champion differs "
        f"by {row['value']:+.4f} [{row['low']:+.4f}, {row['high']:+.4f}] over {row['users']} shoppers, below the "
        f"allowed {-max_loss:+.4f}"
        for row in differences
        if row["users"] >= min_users and row["high"] is not None and row["high"] < -max_loss
    ]


def group_limit(differences: Figures, params: AuditParameters, *, k: int) -> LimitResult:
    """The limit `max_group_loss`, by `group_refusals`; empty `differences` mean that there is no champion."""
    return LimitResult(
        f"no group of {params.min_users} or more shoppers loses more than {params.max_group_loss:g} NDCG@{k} against "
        "the champion",
        tuple(group_refusals(differences, max_loss=params.max_group_loss, min_users=params.min_users)),
        () if differences else ("there is no champion to compare with",),
    )


def popularity_limit(lifts: Figures, params: AuditParameters, *, k: int, challenger: str) -> LimitResult | None:
    """The limit `max_popularity_lift`; None if none is set.

    `lifts` are rows of `popularity_lift` at k by task and model, of the challenger and of models whose figures are
    named beside its own. The figure itself decides, as it has no interval.
    """
    allowed = params.max_popularity_lift
    if allowed == NO_LIMIT:
        return None
    bound = "least" if allowed < 0 else "most"
    limit = (
        f"listed items are at {bound} {_popular(allowed)} what their shoppers took before ({POPULARITY_LIFT}@{k} at "
        f"most {allowed:+g})"
    )
    refusals: list[str] = []
    notes: list[str] = []
    metrics: dict[str, float] = {}
    for row, others in _judged(lifts, challenger, params.min_users, notes):
        metrics[f"{row['task']}.{POPULARITY_LIFT}"] = row["value"]
        if row["value"] > allowed:
            refusals.append(
                f"{row['task']}: the first {k} items of lists are {_popular(row['value'])} what their {row['users']} "
                f"shoppers took before, and {_demand(allowed)} ({POPULARITY_LIFT}@{k} {row['value']:+.4f}, allowed "
                f"{allowed:+.4f}{_named(others, '+.4f')})"
            )
    if not metrics and not notes:
        notes.append("no shopper has a list and a history to compare it with")
    return LimitResult(limit, tuple(refusals), tuple(notes), metrics)


def exposure_limits(
    exposures: dict[str, Figures], params: AuditParameters, *, k: int, challenger: str
) -> list[LimitResult]:
    """The limits on exposure that are set, in their order.

    `exposures` has for each name that limits have, such as brand=Harbour, the rows of `exposure_by_group` of these
    items at k by task and model, as in `popularity_limit`; none where no item is of this kind. The figure itself
    decides, as it has no interval. A ratio without purchases decides nothing.
    """
    kinds: tuple[tuple[str, bool, dict[str, float]], ...] = (
        (EXPOSURE, True, params.min_exposure_share),
        (EXPOSURE, False, params.max_exposure_share),
        (EXPOSURE_RATIO, True, params.min_exposure_ratio),
        (EXPOSURE_RATIO, False, params.max_exposure_ratio),
    )
    return [
        _exposure_limit(exposures[name], name, allowed, figure, params.min_users, k, challenger, is_least=is_least)
        for figure, is_least, limits in kinds
        for name, allowed in limits.items()
    ]


def _exposure_limit(
    rows: Figures, name: str, allowed: float, figure: str, min_users: int, k: int, challenger: str, *, is_least: bool
) -> LimitResult:
    bound = "at least" if is_least else "at most"
    attribute, value = limited_items(name)
    items = f"items with {attribute} {value}"
    limit = f"{items} have {bound} {_places(figure, allowed)} ({figure}@{k} {bound} {allowed:g})"
    refusals: list[str] = []
    notes: list[str] = []
    metrics: dict[str, float] = {}
    mine = [row for row in rows if row["metric"] == figure]
    if not mine:
        notes.append(f"there are no {items}, or no lists")
    for row, others in _judged(mine, challenger, min_users, notes):
        if row["value"] is None:
            notes.append(f"{row['task']}: not judged, as nobody took {items}")
            continue
        metrics[f"{row['task']}.{figure}.{name}"] = row["value"]
        if row["value"] < allowed if is_least else row["value"] > allowed:
            refusals.append(
                f"{row['task']}: of the first {k} places of {row['users']} lists, {items} have "
                f"{_places(figure, row['value'])}, {'below' if is_least else 'above'} the allowed "
                f"{_amount(figure, allowed)} ({figure}@{k} {row['value']:.4f}, allowed {allowed:.4f}"
                f"{_named(others, '.4f')})"
            )
    return LimitResult(limit, tuple(refusals), tuple(notes), metrics)


def _judged(
    rows: Figures, challenger: str, min_users: int, notes: list[str]
) -> Iterator[tuple[dict[str, Any], dict[str, float]]]:
    """The challenger's row of each task, with the values of other models by name; tasks with few lists are noted."""
    for row in (row for row in rows if row["model"] == challenger):
        if row["users"] < min_users:
            notes.append(f"{row['task']}: not judged, {row['users']} lists and {min_users} needed")
            continue
        others = {
            other["model"]: other["value"]
            for other in rows
            if other["task"] == row["task"] and other["model"] != challenger and other["value"] is not None
        }
        yield row, others


def _named(others: dict[str, float], form: str) -> str:
    return "".join(f", {name} {format(value, form)}" for name, value in sorted(others.items()))


def _popular(lift: float) -> str:
    return f"{_amount(POPULARITY_LIFT, lift)} popular than" if lift else "as popular as"


def _demand(lift: float) -> str:
    amount = _amount(POPULARITY_LIFT, lift)
    return f"at least {amount} is demanded" if lift < 0 else f"at most {amount} is allowed"


def _places(figure: str, value: float) -> str:
    return f"{_amount(figure, value)} {'of the places' if figure == EXPOSURE else 'their share of purchases'}"


def _amount(figure: str, value: float) -> str:
    if figure == EXPOSURE_RATIO:
        return f"{value:.3g} times"
    percent = f"{100 * abs(value):.3g} %"
    return percent if figure == EXPOSURE else f"{percent} {'less' if value < 0 else 'more'}"


def within_limits(decision: GateDecision, results: Sequence[LimitResult]) -> GateDecision:
    """The decision, refused for the refusals of limits too, with their notes and figures."""
    refusals = tuple(reason for result in results for reason in result.refusals)
    notes = tuple(f"limit not judged: {result.limit}: {note}" for result in results for note in result.notes)
    metrics = {name: value for result in results for name, value in result.metrics.items()}
    decision = replace(decision, metrics={**decision.metrics, **metrics})
    if not refusals:
        return replace(decision, reasons=(*decision.reasons, *notes))
    before = () if decision.accepted else decision.reasons
    return replace(decision, accepted=False, reasons=(*before, *refusals))
