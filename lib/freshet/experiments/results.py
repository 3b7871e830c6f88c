"""Decisions and moments as rows of table `experiment_results`."""

import math
from collections.abc import Sequence
from typing import Any

from freshet.experiments.decision import ArmDecision, Moments, arm_sizes
from freshet.experiments.experiment import Experiment
from freshet.experiments.moments import ArmMoments
from freshet.experiments.sample_ratio import sample_ratio


def result_rows(experiment: Experiment, moments: Moments, found: Sequence[ArmDecision]) -> list[dict[str, Any]]:
    """A row per arm and metric in their order, without events_until and measured_at; null for what is no number."""
    by_arm = {one.arm: one for one in found}
    sizes = arm_sizes(experiment, moments)
    ratio = sample_ratio(sizes, [arm.share for arm in experiment.arms])
    rows = []
    for arm, size in zip(experiment.arms, sizes, strict=True):
        decision = by_arm.get(arm.name)
        for metric in experiment.metrics:
            known: ArmMoments | None = moments.get(arm.name, {}).get(metric)
            comparison = decision.comparisons[metric] if decision else None
            rows.append({
                "experiment": experiment.name, "arm": arm.name, "metric": metric, "shoppers": size,
                "value": _number(known.value if known else None),
                "difference": _number(comparison.difference if comparison else None),
                "low": comparison.low if comparison else None, "high": comparison.high if comparison else None,
                "variance_kept": comparison.variance_kept if comparison else None,
                "sample_ratio_p": ratio.sequential_p_value, "decision": decision.verdict if decision else None,
                "reasons": list(decision.reasons) if decision else [],
            })  # fmt: skip
    return rows


def _number(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else value
