"""Audits at the gate: the validation lists by groups of shoppers and of items, and the limits of [audits]."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame

from freshet.evaluation.audits.limits import LimitResult, exposure_limits, group_limit, popularity_limit
from freshet.evaluation.audits.parameters import AuditParameters
from freshet.evaluation.ranking import equal_rows, groups_of
from freshet.evaluation.splitting import known_before
from freshet.pipeline.item_audits import ItemFacts, exposure_of, item_audits, item_facts, lifts_of
from freshet.pipeline.recommender.list_judging import CHALLENGER, CHAMPION
from freshet.pipeline.recommender.recommender_fits import catalogue
from freshet.pipeline.shopper_audits import differences_by_group, groups_of_cases, write_audits
from freshet.runs.job import Job


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
    """What the limits that are set say of the challenger; `left_out`: by audit, why it has no groups; `item_limits`:
    the limits on what lists show, for other lists of the same shoppers."""

    limits: tuple[LimitResult, ...]
    left_out: dict[str, str]
    item_limits: "ItemLimits"

    def facts(self) -> dict[str, Any]:
        """Values for the step's record."""
        return {"limits": [asdict(limit) for limit in self.limits], "left_out": self.left_out}


@dataclass(frozen=True)
class ItemLimits:
    """The limits on what lists show, their first `k` items."""

    params: AuditParameters
    items: ItemFacts
    k: int

    def results(self, lists: pa.Table, challenger: str) -> list[LimitResult]:
        """What the limits say of one of the models of `lists` (task, model, user_id, items); its refusals name the
        figures of the others."""
        lifts = lifts_of(lists, self.items, k=self.k)
        exposures = {name: exposure_of(lists, self.items, name, k=self.k) for name in limited_names(self.params)}
        of_popularity = popularity_limit(lifts, self.params, k=self.k, challenger=challenger)
        of_exposure = exposure_limits(exposures, self.params, k=self.k, challenger=challenger)
        return [*([] if of_popularity is None else [of_popularity]), *of_exposure]

    def broken_by(self, lists: pa.Table) -> set[tuple[str, str]]:
        """The (task, model) of `lists` that do not keep a limit."""
        return {
            (one["task"], one["model"])
            for one in groups_of(lists, ("task", "model"))
            for result in self.results(lists.filter(pa.array(equal_rows(lists, one))), one["model"])
            if result.refusals
        }


def gate_audits(job: Job, audited: AuditedLists, *, run_id: str) -> GateAudits:
    """Writes the audits of the validation days. Returns what the limits say."""
    cases, clock, target, params = audited.cases, audited.clock, audited.target, job.settings.audits
    known, k = known_before(audited.events, clock), job.settings.gate.k
    groups, left_out = groups_of_cases(job, cases, known, target=target, clock=clock)
    items = item_facts(job, cases, catalogue(known, as_of=clock, target=target), target=target, clock=clock)
    of_items = item_audits(audited.lists, items, params, k=k)
    write_audits(job, audited.judged, groups, of_items, run_id=run_id, split="validation")
    limits = ItemLimits(params, items, k)
    both = audited.lists.filter(pc.is_in(audited.lists["model"], value_set=pa.array([CHALLENGER, CHAMPION])))
    results = [*_of_groups(job, audited.judged, groups), *limits.results(both, CHALLENGER)]
    return GateAudits(tuple(results), left_out, limits)


def _of_groups(job: Job, judged: pa.Table, groups: pa.Table) -> list[LimitResult]:
    params = job.settings.audits
    if params.max_group_loss >= 1.0:
        return []
    challenger, champion = (judged.filter(pc.equal(judged["model"], name)) for name in (CHALLENGER, CHAMPION))
    differences = differences_by_group(job, challenger.drop_columns("model"), champion, groups)
    return [group_limit(differences, params, k=job.settings.gate.k)]


def limited_names(params: AuditParameters) -> list[str]:
    """The names of items, such as brand=Harbour, that limits on exposure have, each once."""
    limits = (
        params.min_exposure_share,
        params.max_exposure_share,
        params.min_exposure_ratio,
        params.max_exposure_ratio,
    )
    return list(dict.fromkeys(name for one in limits for name in one))
