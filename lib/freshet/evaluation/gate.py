"""The gate: whether a challenger becomes champion. A pure function of figures; callers measure and act."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeGuard

from freshet.evaluation.parameters import GateParameters


@dataclass(frozen=True)
class Judged:
    """The challenger's own mean of the gate's metric on a task, over `users` shoppers."""

    task: str
    value: float | None
    users: int


@dataclass(frozen=True)
class Difference:
    """The challenger's mean minus that of `against` on the same shoppers of a task, with its 95 % interval.

    `low` and `high` None: no interval could be computed, and the mean difference decides.
    """

    task: str
    against: str
    value: float | None
    low: float | None
    high: float | None
    users: int


@dataclass(frozen=True)
class GateDecision:
    """The decision, its reasons in words (also when accepted), and every figure that was compared, by name."""

    accepted: bool
    reasons: tuple[str, ...]
    metrics: dict[str, float]


def gate_decision(
    challenger: Sequence[Judged],
    champion: Sequence[Difference] | None,
    baselines: Sequence[Difference],
    params: GateParameters,
) -> GateDecision:
    """Accepted only if on every task that counts the challenger is not worse than the champion or any baseline.

    `champion` None: there is none yet, and baselines alone decide, by the mean difference: while nothing serves, the
    wide intervals of a small shop must not leave its shoppers without lists. Otherwise "not worse" means that the lower
    end of the interval of the paired difference is at least -tolerance; without an interval, the mean difference. The
    challenger is compared with each baseline, so that the best of them decides. A task counts if at least `min_users`
    shoppers were evaluated; the reasons mention a task that does not count. Also refused: a figure that is missing, NaN
    or infinite; a task that counts without a comparison to a baseline or to an existing champion; with a champion, the
    case that no task counts.
    """
    refusals: list[str] = []
    notes: list[str] = []
    counting = [judged for judged in challenger if judged.users >= params.min_users]
    for judged in challenger:
        if judged.users < params.min_users:
            notes.append(f"{judged.task}: not counted, {judged.users} shoppers judged and {params.min_users} needed")
    if not counting and champion is None:
        notes.append("too few shoppers come back to judge by, and nothing serves yet: it serves until more is known")
    elif not counting:
        refusals.append("no task has enough shoppers to judge by")
    for judged in counting:
        if not _is_finite(judged.value):
            refusals.append(f"{judged.task}: {_metric(params)} is {judged.value}, which is no figure")
            continue
        notes.append(f"{judged.task}: {_metric(params)} {judged.value:.4f} over {judged.users} shoppers")
        groups = [("a plain baseline", baselines, params.baseline_tolerance)]
        if champion is not None:
            groups.insert(0, ("the champion", champion, params.champion_tolerance))
        for name, differences, tolerance in groups:
            mine = [difference for difference in differences if difference.task == judged.task]
            if not mine:
                refusals.append(f"{judged.task}: there is no comparison with {name}")
            for difference in mine:
                words, is_worse = _comparison(difference, tolerance, params, strict=champion is not None)
                (refusals if is_worse else notes).append(words)
    if champion is None:
        notes.append("there is no champion yet: baselines alone decide")
    metrics = _metrics(challenger, [*(champion or ()), *baselines])
    return GateDecision(not refusals, tuple(refusals or notes), metrics)


def _comparison(difference: Difference, tolerance: float, params: GateParameters, *, strict: bool) -> tuple[str, bool]:
    """The comparison in words, and whether the challenger is worse; by the mean unless `strict`."""
    where = f"{difference.task}: against {difference.against}"
    if not _is_finite(difference.value):
        return f"{where} the difference in {_metric(params)} is {difference.value}, which is no figure", True
    low, high = difference.low, difference.high
    if low is None and high is None:
        decisive, shown = difference.value, f"{difference.value:+.4f} without an interval"
    elif _is_finite(low) and _is_finite(high):
        decisive = low if strict else difference.value
        shown = f"{difference.value:+.4f} [{low:+.4f}, {high:+.4f}]"
    else:
        return f"{where} the interval of the difference is [{low}, {high}], which is no figure", True
    is_worse = decisive < -tolerance
    verdict = "worse than" if is_worse else "not worse than"
    return f"{where} {_metric(params)} differs by {shown}: {verdict} the allowed {-tolerance:+.4f}", is_worse


def _metric(params: GateParameters) -> str:
    return f"{params.metric}@{params.k}"


def _is_finite(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)


def _metrics(challenger: Sequence[Judged], differences: Sequence[Difference]) -> dict[str, float]:
    """Every available figure, as in next_baskets.value and next_baskets.champion.low."""
    named = {f"{judged.task}.value": judged.value for judged in challenger}
    named |= {f"{judged.task}.users": float(judged.users) for judged in challenger}
    for difference in differences:
        prefix = f"{difference.task}.{difference.against}"
        named |= {f"{prefix}.difference": difference.value, f"{prefix}.low": difference.low}
        named[f"{prefix}.high"] = difference.high
    return {name: value for name, value in named.items() if value is not None}
