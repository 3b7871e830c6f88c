"""The experiments that were measured last, with their decisions, and what lists have earned."""

from typing import Any

from freshet.contracts import EXPERIMENT_RESULTS
from freshet.ranking.lists.list_ids import ID_PATTERN
from freshet.report.collect.sources import EVERYTHING, Sources
from freshet.report.content import Missing
from freshet.report.experiment_content import Arm, ArmFigure, Earnings, Experiment, Experiments
from freshet.runs.steps import EXPERIMENTS
from freshet.tables.lookups.list_earnings import list_earnings

_COLUMNS = ("experiment", "arm", "metric", "shoppers", "value", "difference", "low", "high", "sample_ratio_p",
            "decision", "reasons", "events_until")  # fmt: skip
_MANY = 100_000  # far above the arms and metrics of the experiments of one file


def experiments(sources: Sources) -> Experiments | Missing:
    """The experiments of one home, and the earnings of lists, in the order of their tables."""
    rows = sources.rows(EXPERIMENT_RESULTS, _COLUMNS, EVERYTHING, _MANY)
    earned = [
        Earnings(
            version=row["model_version"], touch_model=row["model"], lists=row["lists"], impressions=row["impressions"],
            clicks=row["clicks"], orders=row["orders"], revenue=row["revenue"],
        )
        for row in list_earnings(sources.home.warehouse, id_pattern=ID_PATTERN)
    ]  # fmt: skip
    if not rows and not earned:
        record = sources.record(EXPERIMENTS)
        return record if isinstance(record, Missing) else Missing("no experiment is enabled, and no list was shown")
    by_name: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_name.setdefault(row["experiment"], []).append(row)
    found = tuple(_experiment(name, mine) for name, mine in by_name.items())
    return Experiments(found, tuple(earned), sources.currency())


def _experiment(name: str, rows: list[dict[str, Any]]) -> Experiment:
    by_arm: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_arm.setdefault(row["arm"], []).append(row)
    arms = (
        Arm(arm, mine[0]["shoppers"], mine[0]["decision"], tuple(mine[0]["reasons"]),
            tuple(ArmFigure(*(row[of] for of in ("metric", "value", "difference", "low", "high"))) for row in mine))
        for arm, mine in by_arm.items()
    )  # fmt: skip
    in_order = tuple(sorted(arms, key=lambda arm: arm.decision is not None))
    return Experiment(name, in_order, rows[0]["sample_ratio_p"], rows[0]["events_until"])
