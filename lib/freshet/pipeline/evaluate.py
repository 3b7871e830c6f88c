"""Step evaluate: judges the served lists and the plain baselines on the test days, which no model has seen."""

from typing import Any

from freshet.contracts import EVALUATION_RESULTS
from freshet.core.errors import DataTooSmallError
from freshet.evaluation.baselines import Baseline
from freshet.evaluation.list_properties import list_properties, takers
from freshet.evaluation.ranking import coverage, evaluation_rows, per_user, summary
from freshet.evaluation.splitting import known_before
from freshet.pipeline.item_audits import item_audits, item_facts
from freshet.pipeline.recommender.list_judging import (
    SERVED,
    WITH_RULES,
    collected,
    placement_lists,
    plain_lists,
    served_lists,
    taken_items,
    truths,
)
from freshet.pipeline.recommender.recommender_fits import built_catalogue, events_until, judged_cases
from freshet.pipeline.shopper_audits import groups_of_cases, write_audits
from freshet.runs.job import Job
from freshet.runs.merchandising import rules_in_force
from freshet.runs.registered_models import RECOMMENDER, champion, champion_facts
from freshet.runs.steps import BUILD, PROMOTE
from freshet.tables.small_writes import replace_rows


def inputs(job: Job) -> dict[str, Any]:
    """The windows, the champion and the baselines that the gate has chosen."""
    facts = {"windows": job.record(BUILD)["windows"], RECOMMENDER: champion_facts(job, RECOMMENDER)}
    return {**facts, "baselines": job.record(PROMOTE).get("baselines")}


def work(job: Job, fingerprint: str) -> dict[str, Any]:
    """Judges the served lists and the baselines; records the metrics."""
    windows, evaluation = job.windows(), job.settings.evaluation
    version, target = champion(job, RECOMMENDER), job.record(BUILD)["target"]
    if version is None:
        raise DataTooSmallError("no recommender serves, so there are no lists to judge")
    if not windows.has_live_part:
        raise DataTooSmallError("live_days is 0, so no days were held out for a test")
    events, cut = events_until(job, windows), windows.cut
    protocol, cases = judged_cases(
        job, windows, start=cut, end=windows.as_of, target=target, at_most=evaluation.max_users
    )
    if cases.isEmpty():
        raise DataTooSmallError("no shopper of the test days did anything before, so lists cannot be judged")
    length = max(evaluation.ks)
    lists = [served_lists(cases, artifact=version.folder, clock=cut, length=length, model=SERVED)]
    rules = rules_in_force(job.warehouse, cut, job.settings.rules).without_availability()
    if rules.changes_lists:
        saved = rules.save(job.home.rules)
        lists.append(
            served_lists(cases, artifact=version.folder, clock=cut, length=length, model=WITH_RULES, rules=saved)
        )
    lists += placement_lists(cases, artifact=version.folder, clock=cut, params=job.settings.placements)
    chosen = [Baseline(family, strength) for family, strength in job.record(PROMOTE)["baselines"]]
    if chosen:
        plain = plain_lists(
            known_before(events, cut), cases, protocol=protocol,
            baselines=chosen, as_of=cut, target=target, length=length, params=evaluation,
        )  # fmt: skip
        lists.append(plain)
    made, truth = collected(*lists), truths(cases, target=target, seed=evaluation.seed)
    by = ("task", "model")
    judged = per_user(made, truth, ks=evaluation.ks, by=by)
    figures = summary(judged, samples=evaluation.bootstrap_samples, by=by)
    known = known_before(events, cut)
    items = known.where("item_id is not null").select("item_id").distinct().count()
    for k in evaluation.ks:
        figures += coverage(made, k=k, catalogue_size=items, by=by)
    compared = takers(taken_items(known, target=target, at_most=evaluation.compared_shoppers).toArrow())
    figures += list_properties(
        made, truth.select(["task", "user_id", "user_hash"]), compared,
        ks=evaluation.ks, samples=evaluation.bootstrap_samples, by=by,
    )  # fmt: skip
    rows = evaluation_rows(figures, run_id=fingerprint, split="test", protocol=protocol)
    replace_rows(job.warehouse, rows, EVALUATION_RESULTS, where=f"run_id = '{fingerprint}'")
    groups, left_out = groups_of_cases(job, cases, known, target=target, clock=cut)
    shown = item_facts(job, cases, built_catalogue(job, windows), target=target, clock=cut)
    of_items = item_audits(made, shown, job.settings.audits, k=job.settings.gate.k)
    write_audits(job, judged, groups, of_items, run_id=fingerprint, split="test")
    return {"figures": rows, "protocol": protocol, "audits": {"left_out": left_out}}
