"""The audits of lists: of the test days, or of the validation days where there are none; the limits of the gate."""

from typing import Any

from freshet.contracts import AUDIT_RESULTS
from freshet.evaluation.audits.groups import OTHERS, UNKNOWN
from freshet.report.collect.sources import Sources, equals
from freshet.report.content import AuditFigure, Audits, Limit, Missing
from freshet.runs.steps import EVALUATE, PROMOTE, RECOMMEND

_COLUMNS = ("task", "model", "metric", "k", "value", "low", "high", "users", "audit", "group")
_MANY = 100_000  # far above the rows of one run, which are some hundreds

_SHOWN_BEFORE = ("activity", "tenure", "segment", "item_popularity")
"""Audits that every report shows first, in this order."""


def audits(sources: Sources) -> Audits | Missing:
    """The audits of one home."""
    for step, split, ours in ((EVALUATE, "test", "served"), (PROMOTE, "validation", "challenger")):
        record = sources.record(step)
        if not isinstance(record, Missing):
            of_run = equals("run_id", record["fingerprint"]) & equals("split", split)
            figures = _ordered([AuditFigure(**row) for row in sources.rows(AUDIT_RESULTS, _COLUMNS, of_run, _MANY)])
            if figures:
                left_out = tuple((record.get("audits") or {}).get("left_out", {}).items())
                return Audits(figures, ours, split, _first_task(sources, figures), _limits(sources), left_out)
    gate = sources.record(PROMOTE)
    return gate if isinstance(gate, Missing) else Missing("no lists were judged by group")


def _first_task(sources: Sources, figures: tuple[AuditFigure, ...]) -> str:
    served = sources.value(RECOMMEND, "policy")
    known = sorted({figure.task for figure in figures}, reverse=True)  # next_baskets before new_items
    return served if served in known else known[0]


def _limits(sources: Sources) -> tuple[Limit, ...]:
    found: list[dict[str, Any]] = (sources.value(PROMOTE, "audits") or {}).get("limits", [])
    return tuple(Limit(one["limit"], tuple(one["refusals"]), tuple(one["notes"])) for one in found)


def _ordered(figures: list[AuditFigure]) -> tuple[AuditFigure, ...]:
    """By audit, and groups within it: numbers by size, values by their shoppers, then the rest and the unknown."""
    users: dict[tuple[str, str], int] = {}
    for one in figures:
        key = (one.audit, one.group)
        users[key] = max(users.get(key, 0), one.users)

    def place(one: AuditFigure) -> tuple[Any, ...]:
        audit = (_SHOWN_BEFORE.index(one.audit) if one.audit in _SHOWN_BEFORE else len(_SHOWN_BEFORE), one.audit)
        start = _number(one.group)
        kind = (OTHERS, UNKNOWN).index(one.group) + 2 if one.group in (OTHERS, UNKNOWN) else int(start is None)
        group = (kind, start or 0.0, -users[one.audit, one.group], one.group)
        return (*audit, *group, one.task, one.model, one.metric)

    return tuple(sorted(figures, key=place))


def _number(group: str) -> float | None:
    """The start of a group such as 3 to 7."""
    try:
        return float(group.partition(" to ")[0])
    except ValueError:
        return None
