"""The decision about an experiment: ship an arm, stop it, continue, or throw its figures away, with reasons."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from freshet.experiments.comparison import Comparison, Sureness, compared
from freshet.experiments.experiment import Experiment, GuardRail
from freshet.experiments.moments import ArmMoments
from freshet.experiments.parameters import ExperimentParameters
from freshet.experiments.sample_ratio import sample_ratio

Verdict = Literal["ship", "stop", "continue", "invalid"]
"""As contracts.experiments.DECISIONS."""

Moments = Mapping[str, Mapping[str, ArmMoments]]
"""By arm and metric."""


@dataclass(frozen=True)
class ArmDecision:
    """The decision about one arm against the control, its reasons in words, and its comparison in each metric."""

    arm: str
    verdict: Verdict
    reasons: tuple[str, ...]
    comparisons: dict[str, Comparison]


def decisions(
    experiment: Experiment, moments: Moments, params: ExperimentParameters, *, is_over: bool
) -> tuple[ArmDecision, ...]:
    """A decision for each arm but the control, in their order; `is_over`: the experiment has ended.

    - `invalid`: the numbers of shoppers in arms do not fit their shares (`sample_ratio`), so that no figure can be
      believed.
    - `stop`: the metric is worse than control; or a guard-rail has fallen by more than its tolerance; or the
      improvement is smaller than `minimum_effect`; or the time is over and nothing is proven.
    - `ship`: the metric is better than control, and no guard-rail has fallen by more than its tolerance.
    - `continue`: none of these is sure yet.

    Sure means that the whole interval says so. Intervals hold at every look, so decisions may be looked at, and acted
    on, at any time. `params.alpha` is divided among the arms, and that of guard-rails also among these: the probability
    that any of several arms that are equal to control is called better is at most alpha. Arms without an entry in
    `moments` have no shoppers.
    """
    counts = arm_sizes(experiment, moments)
    planned = [arm.share for arm in experiment.arms]
    ratio = sample_ratio(counts, planned)
    others = experiment.arms[1:]
    base = Sureness(params.alpha / len(others), params.planned_shoppers, params.min_shoppers)
    found = []
    for arm in others:
        both = [{name: _of(moments, one, name) for name in experiment.metrics}
                for one in (experiment.control.name, arm.name)]  # fmt: skip
        comparisons = {name: compared(both[0][name], both[1][name], base) for name in experiment.metrics}
        if ratio.sequential_p_value <= params.sample_ratio_alpha:
            words = _ratio_words(experiment, counts, ratio.sequential_p_value)
            found.append(ArmDecision(arm.name, "invalid", (words,), comparisons))
            continue
        verdict, reasons = _judged(experiment, both[0], both[1], base, is_over=is_over)
        found.append(ArmDecision(arm.name, verdict, reasons, comparisons))
    return tuple(found)


def arm_sizes(experiment: Experiment, moments: Moments) -> list[int]:
    """The number of shoppers of each arm."""
    return [_of(moments, arm.name, experiment.metric).shoppers for arm in experiment.arms]


def _ratio_words(experiment: Experiment, counts: list[int], p_value: float) -> str:
    seen = ", ".join(f"{arm.name} {count}" for arm, count in zip(experiment.arms, counts, strict=True))
    wanted = ", ".join(f"{arm.name} {arm.share:.4g}" for arm in experiment.arms)
    return (
        f"numbers of shoppers ({seen}) do not fit the shares ({wanted}), p {p_value:.1g}: find out who is missing "
        "before anything is believed"
    )


def _of(moments: Moments, arm: str, metric: str) -> ArmMoments:
    return moments.get(arm, {}).get(metric) or ArmMoments.of_values([])


def _judged(
    experiment: Experiment, control: dict[str, ArmMoments], treatment: dict[str, ArmMoments], sureness: Sureness, *,
    is_over: bool,
) -> tuple[Verdict, tuple[str, ...]]:  # fmt: skip
    metric = experiment.metric
    effect = compared(control[metric], treatment[metric], sureness)
    if effect.low is None or effect.high is None:
        fewest = min(control[metric].shoppers, treatment[metric].shoppers)
        few = (
            f"{metric} cannot be compared yet: {fewest} shoppers in the smaller arm, {sureness.min_shoppers} needed, "
            "with different values"
        )
        return _undecided([few], is_over=is_over)
    said = f"{metric} differs by {effect.difference:+.4g} ({effect.low:+.4g} to {effect.high:+.4g})"
    broken, unknown = _guard_rails(experiment, control, treatment, sureness)
    against = list(broken)
    if effect.high < 0.0:
        against.append(f"{said}: worse than {experiment.control.name}")
    elif experiment.minimum_effect > 0.0:
        more = compared(control[metric], treatment[metric], sureness, times=1.0 + experiment.minimum_effect)
        if more.high is not None and more.high < 0.0:
            against.append(f"{said}: an improvement by {experiment.minimum_effect:.2%} is ruled out")
    if against:
        return "stop", tuple(against)
    if effect.low > 0.0 and not unknown:
        held = [f"{rail.metric} has not fallen by more than {rail.tolerance:.2%}" for rail in experiment.guard_rails]
        return "ship", (f"{said}: better than {experiment.control.name}", *held)
    better = f"{said}: better than {experiment.control.name}" if effect.low > 0.0 else f"{said}: may be chance"
    return _undecided([better, *unknown], is_over=is_over)


def _undecided(reasons: list[str], *, is_over: bool) -> tuple[Verdict, tuple[str, ...]]:
    return ("stop", (*reasons, "its time is over")) if is_over else ("continue", tuple(reasons))


def _guard_rails(
    experiment: Experiment, control: dict[str, ArmMoments], treatment: dict[str, ArmMoments], sureness: Sureness
) -> tuple[list[str], list[str]]:
    """What is said of guard-rails that are broken, and of those of which it is not known yet."""
    broken, unknown = [], []
    for rail in experiment.guard_rails:
        strict = replace(sureness, alpha=sureness.alpha / len(experiment.guard_rails))
        found = compared(control[rail.metric], treatment[rail.metric], strict, times=1.0 - rail.tolerance)
        if found.high is not None and found.high < 0.0:
            broken.append(_rail_words(rail, "has fallen"))
        elif found.low is None:
            unknown.append(f"guard-rail {rail.metric} cannot be compared yet")
        elif found.low <= 0.0:
            unknown.append(_rail_words(rail, "may have fallen"))
    return broken, unknown


def _rail_words(rail: GuardRail, fallen: str) -> str:
    return f"guard-rail {rail.metric} {fallen} by more than {rail.tolerance:.2%}"
