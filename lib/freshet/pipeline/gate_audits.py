"""Audits at the gate: the validation lists by groups of shoppers and of items, and the limits of [audits]."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame

from freshet.evaluation.audits.exposure import POPULARITY_LIFT
from freshet.evaluation.audits.limits import LimitResult, exposure_limits, group_limit, popularity_limit
from freshet.evaluation.audits.parameters import AuditParameters
from freshet.evaluation.ranking import Figures
from freshet.evaluation.splitting import known_before
from freshet.pipeline.item_audits import exposure_of, item_audits, taken_items_of
from freshet.pipeline.recommender.list_judging import CHALLENGER, CHAMPION
from freshet.pipeline.recommender.recommender_fits import catalogue
from freshet.pipeline.shopper_audits import differences_by_group, groups_of_cases, write_audits
from freshet.runs.job import Job
from freshet.tables.lookups.item_states import item_states


@dataclass(frozen=True)
class AuditedLists:
    """The lists (task, model, user_id, items) of the challenger, the champion and the best baselines, and `judged`,
    their figures of `per_user`. `cases` are the shoppers, `clock` is the time until which the models knew `events`."""

    lists: pa.Table
    judged: pa.Table
    cases: DataFrame
    events: DataFrame
    clock: datetime
    target: str


@dataclass(frozen=True)
class GateAudits:
    """What the limits that are set say of the challenger; `left_out`: by audit, why it has no groups."""

    limits: tuple[LimitResult, ...]
    left_out: dict[str, str]

    def facts(self) -> dict[str, Any]:
        """Values for the step's record."""
        return {"limits": [asdict(limit) for limit in self.limits], "left_out": self.left_out}


def gate_audits(job: Job, audited: AuditedLists, *, run_id: str) -> GateAudits:
    """Writes the audits of the validation days. Returns what the limits say."""
    cases, clock, target = audited.cases, audited.clock, audited.target
    known = known_before(audited.events, clock)
    groups, left_out = groups_of_cases(job, cases, known, target=target, clock=clock)
    taken = taken_items_of(catalogue(known, as_of=clock, target=target))
    of_items = item_audits(job, audited.lists, cases, target=target, taken=taken, clock=clock)
    write_audits(job, audited.judged, groups, of_items, run_id=run_id, split="validation")
    results = [
        _of_groups(job, audited.judged, groups), *_of_items(job, audited.lists, of_items, taken, clock=clock)
    ]  # fmt: skip
    return GateAudits(tuple(result for result in results if result is not None), left_out)


def _of_groups(job: Job, judged: pa.Table, groups: pa.Table) -> LimitResult | None:
    params = job.settings.audits
    if params.max_group_loss >= 1.0:
        return None
    challenger, champion = (judged.filter(pc.equal(judged["model"], name)) for name in (CHALLENGER, CHAMPION))
    differences = differences_by_group(job, challenger.drop_columns("model"), champion, groups)
    return group_limit(differences, params, k=job.settings.gate.k)


def _of_items(
    job: Job, lists: pa.Table, of_items: Figures, taken: pa.Table, *, clock: datetime
) -> list[LimitResult | None]:
    params, k = job.settings.audits, job.settings.gate.k
    both = lists.filter(pc.is_in(lists["model"], value_set=pa.array([CHALLENGER, CHAMPION])))
    named = limited_names(params)
    states = item_states(job.warehouse, clock) if named else None
    exposures = {name: exposure_of(both, taken, states, name, k=k) for name in named}
    lifts = [row for row in of_items if row["metric"] == POPULARITY_LIFT and row["model"] in (CHALLENGER, CHAMPION)]
    return [
        popularity_limit(lifts, params, k=k, challenger=CHALLENGER),
        *exposure_limits(exposures, params, k=k, challenger=CHALLENGER),
    ]


def limited_names(params: AuditParameters) -> list[str]:
    """The names of items, such as brand=Harbour, that limits on exposure have, each once."""
    limits = (
        params.min_exposure_share,
        params.max_exposure_share,
        params.min_exposure_ratio,
        params.max_exposure_ratio,
    )
    return list(dict.fromkeys(name for one in limits for name in one))
