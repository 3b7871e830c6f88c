"""Experiments for tests, and their moments."""

from datetime import datetime
from typing import Any

from freshet.experiments.experiment import Arm, Experiment
from freshet.experiments.parameters import ExperimentParameters

PARAMS = ExperimentParameters(
    alpha=0.05, sample_ratio_alpha=0.001, planned_shoppers=2_000, min_shoppers=50, covariate_days=30,
    click_window_hours=24.0, view_window_hours=1.0,
)  # fmt: skip


def experiment(*shares: float, **changed: Any) -> Experiment:
    """Arms control, b, c ... with these shares, which may grow to equal parts."""
    most = int(10_000 / len(shares)) / 10_000
    names = ("control", "b", "c", "d")
    arms = tuple(Arm(name, share, max(share, most)) for name, share in zip(names, shares, strict=False))
    given: dict[str, Any] = {
        "name": "ranker", "layer": "lists", "salt": "ranker", "arms": arms, "starts": datetime(2026, 11, 1),
        "ends": None, "metric": "revenue",
    }  # fmt: skip
    return Experiment(**{**given, **changed})
