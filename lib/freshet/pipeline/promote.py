"""Step promote: the gate. It judges each challenger on the validation days and promotes or refuses it, with reasons."""

import json
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from freshet.contracts import EVALUATION_RESULTS, MODEL_DECISIONS
from freshet.core.errors import DataTooSmallError
from freshet.core.records import read_record
from freshet.evaluation.audits.limits import within_limits
from freshet.evaluation.baseline_strengths import baseline_candidates, best_of_families
from freshet.evaluation.baselines import Baseline
from freshet.evaluation.gate import Difference, GateDecision, Judged, gate_decision
from freshet.evaluation.parameters import GateParameters
from freshet.evaluation.ranking import Figures, evaluation_rows, paired_difference, per_user, summary
from freshet.evaluation.splitting import known_before
from freshet.pipeline.gate_audits import AuditedLists, gate_audits
from freshet.pipeline.recommender.list_judging import (
    CHALLENGER,
    CHAMPION,
    collected,
    plain_lists,
    truths,
    validation_lists,
)
from freshet.pipeline.recommender.plain_champion import Judging, is_needed, plain_champion
from freshet.pipeline.recommender.recommender_fits import events_until, judged_cases
from freshet.registry.versions import ModelVersion
from freshet.runs.job import Job
from freshet.runs.registered_models import PROPENSITY, RECOMMENDER, SEGMENTS, TRAINED_BY, registry, validation_folder
from freshet.runs.retention import retire_old_versions
from freshet.runs.steps import BUILD
from freshet.tables.small_writes import replace_rows

_BY = ("task", "model")


def inputs(job: Job) -> dict[str, Any]:
    """The fingerprints of the latest training runs."""
    trained = {name: read_record(job.home.steps, step.name) for name, step in TRAINED_BY.items()}
    return {name.removeprefix("freshet-"): record and record["fingerprint"] for name, record in trained.items()}


def work(job: Job, fingerprint: str) -> dict[str, Any]:
    """Decides on every challenger; records the decisions and the best baselines."""
    decided: dict[str, GateDecision] = {}
    facts: dict[str, Any] = {"baselines": [], "protocol": None}
    for name in (RECOMMENDER, PROPENSITY, SEGMENTS):
        version = _trained(job, name)
        if version is None:
            continue
        if name == RECOMMENDER:
            decision, facts, judging = _recommender_decision(job, version, fingerprint)
            decided[name] = respecting_choice(version, decision)
            _apply(job, version, decided[name])
            if not decided[name].accepted and is_needed(job, version):
                facts["plain"] = _plain_champion(job, version, judging, fingerprint)
        else:
            decided[name] = respecting_choice(version, model_decision(job, version))
            _apply(job, version, decided[name])
    if not decided:
        raise DataTooSmallError("no model was trained, so there is none to promote")
    retire_old_versions(job)
    outcomes = {name: {"accepted": one.accepted, "reasons": one.reasons} for name, one in decided.items()}
    return {"decisions": outcomes, **facts}


def respecting_choice(version: ModelVersion, decision: GateDecision) -> GateDecision:
    """A refusal if somebody has replaced this version, as by a roll-back: the gate does not undo that decision."""
    if not (decision.accepted and version.replaced_by_hand):
        return decision
    reason = (
        f"version {version.version} was replaced by hand ({version.replaced_by_hand}): the gate waits for a newer one, "
        f"`freshet promote --version {version.version}` serves this one"
    )
    return replace(decision, accepted=False, reasons=(reason,))


def _plain_champion(job: Job, refused: ModelVersion, judging: Judging, fingerprint: str) -> dict[str, Any]:
    """Makes the best plain methods champion while no other version serves. Returns the values for the record."""
    job.notify("the challenger was refused and no version serves: fitting the best plain methods")
    made = plain_champion(job, refused, judging, decided_by=fingerprint)
    _apply(job, made.version, made.decision)
    return {"version": made.version.version, "reasons": made.decision.reasons, "recipe": made.recipe}


def _trained(job: Job, name: str) -> ModelVersion | None:
    """The version of the latest training run, found by its fingerprint, so that a restarted step finds it again."""
    record = read_record(job.home.steps, TRAINED_BY[name].name)
    if record is None or "not_built" in record:
        return None
    return registry(job).find(name, record["fingerprint"])


def _recommender_decision(job: Job, version: ModelVersion, run_id: str) -> tuple[GateDecision, dict[str, Any], Judging]:
    """The gate's decision; for the record the best baseline of each family on validation, as (family, strength), the
    protocol and the audits; the cases."""
    windows, settings, target = job.windows(), job.settings, job.record(BUILD)["target"]
    evaluation = settings.evaluation
    events, cut = events_until(job, windows), windows.validation_cut
    protocol, cases = judged_cases(
        job, windows, start=cut, end=windows.cut, target=target, at_most=evaluation.max_users
    )
    fit = validation_folder(job.home, version.fingerprint, CHALLENGER)
    lists = validation_lists(cases, artifact=fit, clock=cut, length=max(evaluation.ks), model=CHALLENGER)
    before = validation_folder(job.home, version.fingerprint, CHAMPION)
    if before.is_dir():
        lists += validation_lists(cases, artifact=before, clock=cut, length=max(evaluation.ks), model=CHAMPION)
    candidates = baseline_candidates(
        half_lives_days=evaluation.baseline_half_lives_days, windows_days=evaluation.baseline_windows_days
    )
    plain = plain_lists(
        known_before(events, cut), cases, protocol=protocol, baselines=candidates, as_of=cut, target=target,
        length=max(evaluation.ks), params=evaluation,
    )  # fmt: skip
    truth = truths(cases, target=target, seed=evaluation.seed)
    made = collected(*lists, plain)
    judged = per_user(made, truth, ks=evaluation.ks, by=_BY)
    best = _best_baselines(judged, settings.gate)
    figures = _figures(job, judged, best, protocol, run_id)
    decision = _decision(job, judged, figures, best, before.is_dir())
    shown = [CHALLENGER, CHAMPION, *[baseline.name for baseline in best]]
    audited = AuditedLists(_of_models(made, shown), _of_models(judged, shown), cases, events, cut, target)
    audits = gate_audits(job, audited, run_id=run_id)
    facts = {"baselines": [[b.family, b.strength] for b in best], "protocol": protocol, "audits": audits.facts()}
    return within_limits(decision, audits.limits), facts, Judging(protocol, cases, truth, audits.item_limits.broken_by)


def _best_baselines(judged: pa.Table, gate: GateParameters) -> tuple[Baseline, ...]:
    """The best baseline of each family over the shoppers of both tasks."""
    means = judged.filter(pc.field("k") == gate.k).group_by("model").aggregate([(gate.metric, "mean")])
    return best_of_families({row["model"]: row[f"{gate.metric}_mean"] for row in means.to_pylist()})


def _figures(job: Job, judged: pa.Table, best: tuple[Baseline, ...], protocol: str, run_id: str) -> Figures:
    """Writes the validation metrics. Returns those with the gate's metric and k."""
    evaluation, gate = job.settings.evaluation, job.settings.gate
    shown = _of_models(judged, [CHALLENGER, CHAMPION, *[baseline.name for baseline in best]])
    figures = summary(shown, samples=evaluation.bootstrap_samples, by=_BY)
    rows = evaluation_rows(figures, run_id=run_id, split="validation", protocol=protocol)
    replace_rows(job.warehouse, rows, EVALUATION_RESULTS, where=f"run_id = '{run_id}'")
    return [row for row in rows if row["metric"] == gate.metric and row["k"] == gate.k]


def _decision(
    job: Job, judged: pa.Table, figures: Figures, best: tuple[Baseline, ...], has_champion: bool
) -> GateDecision:
    evaluation, gate = job.settings.evaluation, job.settings.gate
    rows = paired_difference(
        _of_models(judged, [CHALLENGER]).drop_columns("model"),
        _of_models(judged, [CHAMPION, *[baseline.name for baseline in best]]),
        metric=gate.metric, k=gate.k, samples=evaluation.bootstrap_samples, by=_BY,
    )  # fmt: skip
    differences = [Difference(r["task"], r["model"], r["value"], r["low"], r["high"], r["users"]) for r in rows]
    own = [Judged(row["task"], row["value"], row["users"]) for row in figures if row["model"] == CHALLENGER]
    return gate_decision(
        own,
        [difference for difference in differences if difference.against == CHAMPION] if has_champion else None,
        [difference for difference in differences if difference.against != CHAMPION],
        gate,
    )


def _of_models(judged: pa.Table, names: list[str]) -> pa.Table:
    return judged.filter(pc.is_in(judged["model"], value_set=pa.array(names)))


def model_decision(job: Job, version: ModelVersion) -> GateDecision:
    """The decision on a probability or segment model, which its training step has recorded."""
    record = job.record(TRAINED_BY[version.name])
    return GateDecision(record["accepted"], tuple(record["reasons"]), record["metrics"])


def _apply(job: Job, version: ModelVersion, decision: GateDecision) -> None:
    """Writes the decision, then moves the alias; after a kill, the step decides again and replaces its decision."""
    champion = job.record(TRAINED_BY[version.name]).get("champion")
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
