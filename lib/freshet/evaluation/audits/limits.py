"""Limits on audits: why a challenger that passed the gate's comparisons is refused all the same."""

from collections.abc import Sequence
from dataclasses import replace

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


def within_limits(decision: GateDecision, refusals: Sequence[str]) -> GateDecision:
    """The decision, refused for these reasons too; an accepted one without a reason stays as it is."""
    if not refusals:
        return decision
    before = () if decision.accepted else decision.reasons
    return replace(decision, accepted=False, reasons=(*before, *refusals))
