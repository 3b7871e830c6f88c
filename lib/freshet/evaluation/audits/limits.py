"""Limits on audits: why a challenger that passed the gate's comparisons is refused all the same."""

import math
from collections.abc import Sequence
from dataclasses import replace

from freshet.evaluation.audits.exposure import EXPOSURE_RATIO
from freshet.evaluation.gate import GateDecision
from freshet.evaluation.ranking import Figures


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


def exposure_refusals(exposure: Figures, *, attributes: Sequence[str], min_ratio: float, k: int) -> list[str]:
    """A reason for each group of items of `attributes` whose ratio of exposure and purchases at k is below `min_ratio`.

    `exposure` are rows of `exposure_by_group` with columns task and audit. A group without a purchase has no ratio and
    is not refused. 0 refuses nothing.
    """
    return [
        f"{row['task']}: {row['audit']} {row['group']} is shown {row['value']:.4f} times as often as it is bought in "
        f"lists of {k}, below the allowed {min_ratio:.4f}"
        for row in exposure
        if row["metric"] == EXPOSURE_RATIO and row["k"] == k and row["audit"] in attributes
        if row["value"] is not None and not math.isnan(row["value"]) and row["value"] < min_ratio
    ]


def within_limits(decision: GateDecision, refusals: Sequence[str]) -> GateDecision:
    """The decision, refused for these reasons too; an accepted one without a reason stays as it is."""
    if not refusals:
        return decision
    before = () if decision.accepted else decision.reasons
    return replace(decision, accepted=False, reasons=(*before, *refusals))
