"""Step promote: the gate. Each challenger is judged on the validation days and promoted, or refused with reasons."""

import json
from typing import Any

from pyspark.sql import DataFrame

from freshet.contracts import EVALUATION_RESULTS, EVENTS, MODEL_DECISIONS
from freshet.errors import DataTooSmallError
from freshet.evaluation.baseline_strengths import baseline_candidates, best_of_families
from freshet.evaluation.gate import Difference, GateDecision, Judged, gate_decision
from freshet.evaluation.ranking import evaluation_rows, paired_difference, per_user, summary
from freshet.registry.versions import ModelVersion
from freshet.splitting import known_before
from freshet.steps.fitting import events_until, judged_cases
from freshet.steps.job import Job, Step
from freshet.steps.judging import plain_lists, served_lists, truths
from freshet.steps.models import PROPENSITY, RECOMMENDER, SEGMENTS, registry, validation_folder
from freshet.steps.retention import retired
from freshet.storage.ledger import read_record
from freshet.storage.small_writes import replace_collected, replace_rows

CHALLENGER, CHAMPION = "challenger", "champion"


def _inputs(job: Job) -> dict[str, Any]:
    trained = {name: read_record(job.home.steps, f"train-{name}") for name in ("recommender", "propensity", "segments")}
    return {name: record and record["fingerprint"] for name, record in trained.items()}


def _work(job: Job, fingerprint: str) -> dict[str, Any]:
    decided: dict[str, GateDecision] = {}
    baselines: list[list[str]] = []
    for name in (RECOMMENDER, PROPENSITY, SEGMENTS):
        version = _trained(job, name)
        if version is None:
            continue
        if name == RECOMMENDER:
            decided[name], baselines = _recommender_decision(job, version, fingerprint)
        else:
            decided[name] = model_decision(job, version)
        _carried_out(job, version, decided[name])
    if not decided:
        raise DataTooSmallError("no model was trained, so there is none to promote")
    retired(job)
    outcomes = {name: {"accepted": one.accepted, "reasons": one.reasons} for name, one in decided.items()}
    return {"decisions": outcomes, "baselines": baselines}


def _trained(job: Job, name: str) -> ModelVersion | None:
    """The version that the last training made: found by its fingerprint, so that a killed step finds it again."""
    record = read_record(job.home.steps, _training(name))
    if record is None or "not_built" in record:
        return None
    return registry(job).find(name, record["fingerprint"])


def _training(name: str) -> str:
    return "train-" + name.removeprefix("freshet-")


def _recommender_decision(job: Job, version: ModelVersion, run_id: str) -> tuple[GateDecision, list[list[str]]]:
    """The gate's decision, and the best baseline of each family on validation, as (family, strength)."""
    windows, settings, target = job.windows(), job.settings, job.record("build")["target"]
    evaluation = settings.evaluation
    events, cut = events_until(job, windows), windows.validation_cut
    cases = judged_cases(
        job, windows, start=cut, end=windows.cut, target=target, at_most=evaluation.max_users
    ).persist()
    fit = validation_folder(job.home, version.fingerprint, CHALLENGER)
    lists = served_lists(cases, artifact=fit, clock=cut, length=max(evaluation.ks), model=CHALLENGER)
    before = validation_folder(job.home, version.fingerprint, CHAMPION)
    if before.is_dir():
        old = served_lists(cases, artifact=before, clock=cut, length=max(evaluation.ks), model=CHAMPION)
        lists = lists.unionByName(old)
    candidates = baseline_candidates(
        half_lives_days=evaluation.baseline_half_lives_days, windows_days=evaluation.baseline_windows_days
    )
    plain = plain_lists(
        known_before(events, cut), cases, baselines=candidates, as_of=cut, target=target,
        length=max(evaluation.ks), params=evaluation,
    )  # fmt: skip
    lists = lists.unionByName(plain).persist()
    judged = per_user(lists, truths(cases, target=target), ks=evaluation.ks, by=("task", "model")).persist()
    try:
        best, figures = _figures(job, judged, run_id)
        chosen = [baseline.name for baseline in best]
        return _decision(job, judged, figures, chosen, before.is_dir()), [[b.family, b.strength] for b in best]
    finally:
        judged.unpersist()
        lists.unpersist()
        cases.unpersist()


def _figures(job: Job, judged: DataFrame, run_id: str) -> tuple[Any, list[Any]]:
    """Writes the validation figures; the best baselines, and all figures at the gate's metric and k."""
    evaluation, gate = job.settings.evaluation, job.settings.gate
    means = judged.where(f"k = {gate.k}").groupBy("model").mean(gate.metric).collect()
    best = best_of_families({row["model"]: row[1] for row in means})
    shown = [CHALLENGER, CHAMPION, *[baseline.name for baseline in best]]
    rows = summary(
        judged.where(judged["model"].isin(shown)),
        samples=evaluation.bootstrap_samples, seed=evaluation.seed, by=("task", "model"),
    )  # fmt: skip
    rows = evaluation_rows(rows, run_id=run_id, split="validation")
    written = replace_collected(job.warehouse, rows, EVALUATION_RESULTS, where=f"run_id = '{run_id}'")
    return best, [row for row in written if row["metric"] == gate.metric and row["k"] == gate.k]


def _decision(job: Job, judged: DataFrame, figures: list[Any], chosen: list[str], has_champion: bool) -> GateDecision:
    evaluation, gate = job.settings.evaluation, job.settings.gate
    mine = judged.where(f"model = '{CHALLENGER}'").drop("model")
    others = judged.where(judged["model"].isin(CHAMPION, *chosen))
    rows = paired_difference(
        mine, others, metric=gate.metric, k=gate.k,
        samples=evaluation.bootstrap_samples, seed=evaluation.seed, by=("task", "model"),
    ).collect()  # fmt: skip
    differences = [Difference(r["task"], r["model"], r["value"], r["low"], r["high"], r["users"]) for r in rows]
    own = [Judged(row["task"], row["value"], row["users"]) for row in figures if row["model"] == CHALLENGER]
    return gate_decision(
        own,
        [difference for difference in differences if difference.against == CHAMPION] if has_champion else None,
        [difference for difference in differences if difference.against != CHAMPION],
        gate,
    )


def model_decision(job: Job, version: ModelVersion) -> GateDecision:
    """The decision on a probability or segment model: its training step has judged it and left its verdict."""
    record = job.record(_training(version.name))
    return GateDecision(record["accepted"], tuple(record["reasons"]), record["metrics"])


def _carried_out(job: Job, version: ModelVersion, decision: GateDecision) -> None:
    """Writes the decision, then moves the alias; a killed step decides again and replaces its decision."""
    champion = job.record(_training(version.name)).get("champion")
    row = {
        "decided_at": job.now(),
        "model_name": version.name,
        "model_version": version.model_version,
        "champion_version": champion,
        "accepted": decision.accepted,
        "reasons": list(decision.reasons),
        "metrics": list(decision.metrics.items()),
    }
    own = f"model_name = '{version.name}' and model_version = '{version.model_version}'"
    replace_rows(job.warehouse, [row], MODEL_DECISIONS, where=own)
    registry(job).set_version_tag(version.name, version.version, "freshet.decision", json.dumps(decision.reasons))
    if decision.accepted:
        registry(job).promote(version.name, version.version)
    else:
        registry(job).refuse(version.name, version.version)


PROMOTE = Step(
    name="promote",
    title="Judge challengers at the gate",
    writes=(EVALUATION_RESULTS, MODEL_DECISIONS),
    reads=(EVENTS,),
    sections=("evaluation", "gate"),
    inputs=_inputs,
    work=_work,
)
