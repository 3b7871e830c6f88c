"""Parameters of the evaluation and of the gate."""

import math
from dataclasses import dataclass

from freshet.contracts.events import GA4_EVENT_NAMES
from freshet.evaluation.ranking import RANKING_METRICS


@dataclass(frozen=True)
class EvaluationParameters:
    """What is judged and against what; days are days, counts are whole numbers.

    `ks`: list lengths judged. `bootstrap_samples`, `seed`: of the intervals. `target_order`: event names, strongest
    first, of which the models' target is chosen; `min_target_users`: shoppers a target needs. `max_users`: shoppers,
    chosen by hash, that baselines and a search are judged on. `baseline_half_lives_days` (0: no decay) and
    `baseline_windows_days`: strengths among which validation chooses for each baseline; `fill_window_days`: popularity
    that fills lists up. The rest: see kernels.Nearness.
    """

    ks: tuple[int, ...]
    bootstrap_samples: int
    seed: int
    target_order: tuple[str, ...]
    min_target_users: int
    max_users: int
    baseline_half_lives_days: tuple[float, ...]
    baseline_windows_days: tuple[int, ...]
    fill_window_days: int
    item_neighbours: int
    item_shrinkage: float
    item_asymmetry: float
    user_neighbours: int
    user_shrinkage: float

    def __post_init__(self) -> None:
        problems = []
        if not self.ks or min(self.ks) < 1 or len(set(self.ks)) < len(self.ks):
            problems.append("ks must be different whole numbers of 1 or more")
        if self.bootstrap_samples < 100:
            problems.append("bootstrap_samples must be 100 or more")
        unknown = [name for name in self.target_order if name not in GA4_EVENT_NAMES]
        if unknown or not self.target_order:
            problems.append(f"target_order must hold GA4 event names, not {', '.join(unknown) or 'nothing'}")
        for name in ("min_target_users", "max_users", "fill_window_days", "item_neighbours", "user_neighbours"):
            if getattr(self, name) < 1:
                problems.append(f"{name} must be 1 or more")
        if not self.baseline_half_lives_days or not all(0 <= d < math.inf for d in self.baseline_half_lives_days):
            problems.append("baseline_half_lives_days must hold days of 0 or more")
        if any(days < 1 for days in self.baseline_windows_days):
            problems.append("baseline_windows_days must hold days of 1 or more")
        if not (0 <= self.item_shrinkage < math.inf and 0 <= self.user_shrinkage < math.inf):
            problems.append("item_shrinkage and user_shrinkage must be 0 or more")
        if not 0 <= self.item_asymmetry <= 2:
            problems.append("item_asymmetry must be within 0 and 2")
        if problems:
            raise ValueError("; ".join(problems))


@dataclass(frozen=True)
class GateParameters:
    """When a challenger becomes champion.

    `metric` at `k` is compared on the same shoppers. `champion_tolerance` and `baseline_tolerance`: how far below 0,
    in units of the metric, the lower end of the interval of the difference may lie. A task with fewer than `min_users`
    shoppers decides nothing.
    """

    metric: str
    k: int
    champion_tolerance: float
    baseline_tolerance: float
    min_users: int

    def __post_init__(self) -> None:
        problems = []
        if self.metric not in RANKING_METRICS:
            problems.append(f"metric must be one of {', '.join(RANKING_METRICS)}")
        if self.k < 1 or self.min_users < 1:
            problems.append("k and min_users must be 1 or more")
        if not (0 <= self.champion_tolerance < 1 and 0 <= self.baseline_tolerance < 1):
            problems.append("champion_tolerance and baseline_tolerance must be from 0 to below 1")
        if problems:
            raise ValueError("; ".join(problems))
